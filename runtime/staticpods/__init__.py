"""Static pods: those that a node runs because of a file on it, whether there is an API server or not.

`manifest` and `defaults` make pods of files, `mirrors` shows them in the API, `folder` follows the files,
`worker` runs one."""
