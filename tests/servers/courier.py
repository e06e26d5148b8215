"""Prints what comes to a socket `log` in the folder that is named: Courier's /dev/log."""

import os, re, socket, sys

os.chdir(sys.argv[1])
if os.path.exists("log"):
    os.unlink("log")
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("log")
os.chmod("log", 0o666)
while True:
    print(re.sub(r"^<\d+>", "", log.recv(65536).decode("utf-8", "replace")), flush=True)
