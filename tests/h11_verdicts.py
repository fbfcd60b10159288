"""What h11 makes of messages: reads lines `request HEX` or `response HEX`, prints `ok BODY-HEX` or `error` for each.

Every message is followed by the end of the connection. It is taken if h11 hands out its end.
"""
import sys

import h11


def verdict(kind, data):
    if kind == "response":
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
    else:
        connection = h11.Connection(h11.SERVER)
    body = b""
    try:
        for piece in (data, b""):
            connection.receive_data(piece)
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return "ok " + body.hex()
                elif event is h11.NEED_DATA:
                    break
                elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    return "error"
    except h11.RemoteProtocolError:
        return "error"
    return "error"


for line in sys.stdin:
    kind, _, data = line.strip().partition(" ")
    print(verdict(kind, bytes.fromhex(data)))
