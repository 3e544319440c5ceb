"""An SMTP server for the tests: STARTTLS and a password are required, every mail becomes a file.

Usage: smtp_server.py DIR PORT; DIR holds cert.pem and key.pem.
"""
import itertools, os, ssl, sys, time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

DIR, PORT = sys.argv[1], int(sys.argv[2])
NUMBERS = itertools.count()


class Files:
    async def handle_DATA(self, server, session, envelope):
        name = os.path.join(DIR, f"{next(NUMBERS):06}")
        with open(name, "wb") as file:
            for to in envelope.rcpt_tos:
                file.write(f"X-RcptTo: {to}\n".encode())
            file.write(envelope.content.replace(b"\r\n", b"\n"))
        os.rename(name, name + ".eml")
        return "250 taken"


def check(server, session, envelope, mechanism, data):
    good = data.login == b"holdfast" and data.password == b"s3cret-of-mail"
    return AuthResult(success=good, handled=False) if not good else AuthResult(success=True)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(DIR, "cert.pem"), os.path.join(DIR, "key.pem"))
controller = Controller(
    Files(), hostname="127.0.0.1", port=PORT, tls_context=context, require_starttls=True,
    authenticator=check, auth_required=True,
)
controller.start()
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)
