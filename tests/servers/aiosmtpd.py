"""An SMTP and an LMTP server on the library aiosmtpd, with mailboxes.

Arguments: where all of it lies, the domain, who logs in, the password, three ports.
"""

import asyncio, itertools, logging, os, ssl, sys

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult

home, domain, user, password = sys.argv[1:5]
ports = [int(port) for port in sys.argv[5:]]
numbers = itertools.count(1)
known = ("alice", "bob", "carol")
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
SMTP.line_length_limit = 1 << 25


class Mailboxes:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name, _, host = address.partition("@")
        if host == domain and name == "later":
            return "450 4.2.1 mailbox busy, try later"
        if host != domain or name not in known:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            folder = f"{home}/mail/{address.partition('@')[0]}"
            file = f"{next(numbers):06}.aiosmtpd"
            for name in ("tmp", "new"):
                os.makedirs(f"{folder}/{name}", exist_ok=True)
            with open(f"{folder}/tmp/{file}", "wb") as out:
                out.write(envelope.original_content)
            os.rename(f"{folder}/tmp/{file}", f"{folder}/new/{file}")
        return "250 2.0.0 stored"


class LmtpMailboxes(Mailboxes):
    # The library sends the returned text unchanged, and LMTP needs a reply for each
    # recipient.
    async def handle_DATA(self, server, session, envelope):
        reply = await super().handle_DATA(server, session, envelope)
        return "\r\n".join([reply] * len(envelope.rcpt_tos))


def authenticate(server, session, envelope, mechanism, login):
    good = (login.login, login.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=good)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{home}/tls/server.pem", f"{home}/tls/server.key")
    common = dict(hostname=f"mail.{domain}", data_size_limit=20971520, enable_SMTPUTF8=True)
    login = dict(authenticator=authenticate, auth_exclude_mechanism=())
    kinds = [
        (lambda: SMTP(Mailboxes(), tls_context=tls, **login, **common), None),
        (lambda: SMTP(Mailboxes(), auth_require_tls=False, auth_required=True, **login, **common), tls),
        (lambda: LMTP(LmtpMailboxes(), **common), None),
    ]
    loop = asyncio.get_running_loop()
    for port, (session, context) in zip(ports, kinds):
        await loop.create_server(session, "127.0.0.1", port, ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
