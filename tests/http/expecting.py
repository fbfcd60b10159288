"""A server, by hand, that knows what `Expect: 100-continue` means, or does not. It prints its port.

The path says how it answers a request with a body:

    /continue   100, then takes the body
    /hints      103, 100 in two pieces, then takes the body
    /refuse     417 to who expects something, without taking the body; else takes it
    /final      413 at once, without taking the body
    /moved      307 to /continue at once, without taking the body
    /private    401 at once, without taking the body; with a password, as /continue
    /silent     takes the body without a word before
    /gone       closes at once

What takes the body answers 200 with its length and its sum. `GET /stray` tells how many bytes came that nobody had asked
for.
"""

import socketserver

stray = 0


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            path = line.split()[1].decode()
            fields = {}
            while (line := self.rfile.readline()) != b"\r\n":
                name, value = line.decode("latin-1").split(":", 1)
                fields[name.lower()] = value.strip()
            if not self.answer(path, fields):
                return

    def answer(self, path, fields):
        expects = fields.get("expect", "").lower() == "100-continue"
        if path == "/stray":
            self.say("200 OK", str(stray))
            return True
        if path == "/gone":
            return False
        if path == "/refuse" and expects:
            return self.without("417 Expectation Failed")
        if path == "/final":
            return self.without("413 Content Too Large")
        if path == "/moved":
            return self.without("307 Temporary Redirect", "Location: /continue\r\n")
        if path == "/private" and "authorization" not in fields:
            return self.without("401 Unauthorized", 'WWW-Authenticate: Basic realm="tides"\r\n')
        if path == "/hints":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Con")
            self.wfile.flush()
            self.wfile.write(b"tinue\r\n\r\n")
        elif expects and path != "/silent":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.body(fields)
        self.say("200 OK", f"{len(body)} {sum(body)}")
        return True

    def without(self, status, more=""):
        """Answers, and counts what comes nevertheless until the client closes."""
        global stray
        self.say(status, "no", more)
        while piece := self.rfile.read1(65536):
            stray += len(piece)
        return False

    def body(self, fields):
        if "content-length" in fields:
            return self.rfile.read(int(fields["content-length"]))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def say(self, status, text, more=""):
        head = f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(text)}\r\n\r\n"
        self.wfile.write((head + text).encode())


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
