"""Who is asking, and whether they may: x509 and token authentication, authorisation, and the review kinds
that ask about both."""
