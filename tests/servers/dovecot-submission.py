"""The relay behind Dovecot submission: a thread for each connection, and what it stores
it stores at once.

Arguments: the port, the folder of the mailboxes, the domain.
"""

import itertools, os, re, socketserver, sys

port, mail, domain = int(sys.argv[1]), sys.argv[2], sys.argv[3]
numbers = itertools.count(1)
known = ("alice", "bob", "carol")


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        print("relay: >", line, flush=True)
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        sender, recipients = None, []
        self.say("220 relay ESMTP")
        while line := self.rfile.readline():
            command = line.decode("utf-8", "replace").strip()
            print("relay: <", command, flush=True)
            verb = command.upper()
            if verb.startswith(("EHLO", "HELO")):
                for keyword in ("relay", "PIPELINING", "SIZE 20971520", "8BITMIME"):
                    self.say("250-" + keyword)
                self.say("250 ENHANCEDSTATUSCODES")
            elif verb.startswith("MAIL"):
                sender, recipients = command, []
                self.say("250 2.1.0 ok")
            elif verb.startswith("RCPT"):
                self.say(self.recipient(command, recipients))
            elif verb == "DATA" and recipients:
                self.say("354 go on")
                self.store(recipients)
                sender, recipients = None, []
            elif verb == "DATA":
                self.say("554 5.5.1 no recipients")
            elif verb == "RSET":
                sender, recipients = None, []
                self.say("250 2.0.0 ok")
            elif verb.startswith(("NOOP", "XCLIENT")):
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("500 5.5.2 unknown")

    def recipient(self, command, recipients):
        match = re.search(r"<([^@>]*)@" + re.escape(domain) + ">", command)
        name = match.group(1) if match else ""
        if name == "later":
            return "450 4.2.1 mailbox busy, try later"
        if name not in known:
            return "550 5.1.1 no such mailbox"
        recipients.append(name)
        return "250 2.1.5 ok"

    def store(self, recipients):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line[1:] if line.startswith(b".") else line)
        for name in recipients:
            file = f"{next(numbers):06}.relay"
            for folder in ("tmp", "new", "cur"):
                os.makedirs(f"{mail}/{name}/{folder}", exist_ok=True)
            with open(f"{mail}/{name}/tmp/{file}", "wb") as out:
                out.writelines(lines)
            os.rename(f"{mail}/{name}/tmp/{file}", f"{mail}/{name}/new/{file}")
        self.say("250 2.0.0 stored")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", port), Session).serve_forever()
