"""Requests that nobody would send: made from the documents that the server itself serves, from a seed."""
