"""Asking other servers who somebody is (`authentication`) and whether he may (`authorization`). `remote` is
the way there."""
