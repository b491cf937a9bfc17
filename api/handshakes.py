"""TLS handshakes that fail with a word: event loops close a connection whose handshake failed without sending
the alert that says why, and a client that hears nothing takes it for a fault of the way and tries again."""

from __future__ import annotations

import ssl


class Handshake(ssl.SSLObject):
    """The server's side of one connection. A failure shows one call late: until then the loop believes that
    it is the client's turn, and sends what there is to be sent, the alert. The client hangs up, or says what
    it wanted to; how long a handshake may take is limited anyway."""

    _told = False

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self._told:
                raise
            self._told = True
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, str(error)) from error
