"""A second implementation of tidemill's frames, written from core/src/frame/PROTOCOL.md and nothing else.

    peer.py vectors FILE          checks the vectors both ways, prints how many there were
    peer.py echo CARRIER [--reliable] [--key KEY] [--delay SECONDS]
                                  talks on stdin and stdout: sends every message back on its channel, answers a request
                                  with what it asked, backwards, and parts when the peer does

It is simple, not fast, and on a reliable link it does not repeat: it is for wires that lose nothing.
"""

import argparse
import hashlib
import hmac
import json
import os
import sys
import time

HELLO, DATA, REQUEST, RESPONSE, CANCEL, CREDIT, BLOCKED, ACK, PING, PONG, GOODBYE = range(11)
START, END, FAILED, RELIABLE = 1, 2, 4, 8
SEEN, DONE = 1, 2


class Damaged(Exception):
    pass


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def stuff(data):
    out = bytearray()
    for index, piece in enumerate(pieces := data.split(b"\0")):
        while len(piece) >= 254:
            out += b"\xff" + piece[:254]
            piece = piece[254:]
            if not piece and index == len(pieces) - 1:
                return bytes(out) + b"\0"
        out += bytes([len(piece) + 1]) + piece
    return bytes(out) + b"\0"


def unstuff(data):
    """Without the delimiter."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        piece = data[at + 1 : at + code]
        if len(piece) != code - 1:
            raise Damaged("length")
        out += piece
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def pack(kind, flags, channel, sequence, payload):
    head = bytes([1 << 4 | kind, flags, channel]) + sequence.to_bytes(2, "little") + len(payload).to_bytes(3, "little")
    return head + payload + crc32c(head + payload).to_bytes(4, "little")


def check_head(head, longest):
    if head[0] >> 4 != 1:
        raise Damaged("version")
    if head[0] & 15 > 10:
        raise Damaged("kind")
    if head[1] > 15:
        raise Damaged("flags")
    length = int.from_bytes(head[5:8], "little")
    if length > longest:
        raise Damaged("too_long")
    return length


def unpack(frame, longest):
    if len(frame) < 12:
        raise Damaged("length")
    if check_head(frame[:8], 1 << 24) != len(frame) - 12:
        raise Damaged("length")
    if len(frame) - 12 > longest:
        raise Damaged("too_long")
    if crc32c(frame[:-4]) != int.from_bytes(frame[-4:], "little"):
        raise Damaged("checksum")
    return frame[0] & 15, frame[1], frame[2], int.from_bytes(frame[3:5], "little"), frame[8:-4]


def encode(carrier, *frame):
    packed = pack(*frame)
    return stuff(packed) if carrier == "line" else packed


class Decoder:
    """Takes bytes, gives frames, and on a line also what was damaged."""

    def __init__(self, carrier, longest):
        self.carrier, self.longest, self.data = carrier, longest, b""

    def feed(self, data):
        self.data += data
        while True:
            if self.carrier == "line":
                frame, delimiter, rest = self.data.partition(b"\0")
                if not delimiter:
                    return
                self.data = rest
                if frame:
                    try:
                        yield unpack(unstuff(frame), self.longest)
                    except Damaged as damaged:
                        yield damaged
            else:
                if len(self.data) < 8:
                    return
                length = check_head(self.data[:8], self.longest) + 12
                if len(self.data) < length:
                    return
                frame, self.data = self.data[:length], self.data[length:]
                yield unpack(frame, self.longest)


def vectors(path):
    with open(path) as file:
        data = json.load(file)
    for one in data["frames"]:
        frame = (one["kind"], one["flags"], one["channel"], one["sequence"], bytes.fromhex(one["payload"]))
        wire = bytes.fromhex(one["wire"])
        assert encode(one["carrier"], *frame) == wire, one["name"]
        for step in (1, len(wire)):
            decoder = Decoder(one["carrier"], data["longest"])
            got = [frame for at in range(0, len(wire), step) for frame in decoder.feed(wire[at : at + step])]
            assert got == [frame], one["name"]
    for one in data["damaged"]:
        decoder = Decoder(one["carrier"], data["longest"])
        try:
            got = list(decoder.feed(bytes.fromhex(one["wire"])))
        except Damaged as damaged:
            got = [damaged]
        assert [str(error) for error in got] == [one["error"]], (one["name"], got)
    for one in data["proofs"]:
        assert prove(one["key"].encode(), bytes.fromhex(one["prover"]), bytes.fromhex(one["verifier"])).hex() == one["proof"]
    print(len(data["frames"]) + len(data["damaged"]) + len(data["proofs"]))


def prove(key, prover, verifier):
    return hmac.new(key, b"tidemill frame 1" + prover + verifier, hashlib.sha256).digest()


class Echo:
    CHANNELS, PAYLOAD, WINDOW = 8, 4096, 65536

    def __init__(self, carrier, reliable, key, read, write):
        self.carrier, self.reliable, self.key, self.read, self.write = carrier, reliable, key, read, write
        features = (1 if reliable else 0) | (2 if key is not None else 0)
        sizes = self.PAYLOAD.to_bytes(4, "little") + self.WINDOW.to_bytes(4, "little")
        self.terms = bytes([1, features, self.CHANNELS, 0]) + sizes + os.urandom(16)
        self.peer, self.open, self.done = None, False, False
        self.decoder = Decoder(carrier, 64)
        self.next_in, self.next_out = {}, {}
        self.received, self.spent, self.limit, self.parts = {}, {}, {}, {}
        self.outbox = []

    def put(self, kind, flags=0, channel=0, payload=b"", sequence=0):
        before = b"\0" if kind == HELLO and self.carrier == "line" else b""
        self.write(before + encode(self.carrier, kind, flags, channel, sequence, payload))

    def hello(self):
        flags, payload = (DONE if self.open else 0), self.terms + bytes(4)
        if self.peer:
            flags |= SEEN
            payload = self.terms + self.peer[12:16]
            if self.key is not None:
                payload += prove(self.key, self.terms, self.peer)
        self.put(HELLO, flags, 0, payload)

    def refuse(self, reason):
        self.put(GOODBYE, 0, 0, bytes([reason]))
        sys.exit(f"refused: {reason}")

    def greeted(self, flags, payload):
        terms, seen, proof = payload[:28], payload[28:32], payload[32:]
        if self.open:
            if terms != self.peer:
                sys.exit("the peer began anew")
        else:
            if (terms[1] ^ self.terms[1]) & 2 or (self.key is not None and terms == self.terms):
                self.refuse(1)
            if terms[1] != self.terms[1]:
                self.refuse(2)
            self.peer = terms
            if flags & SEEN and seen == self.terms[12:16]:
                if self.key is not None and not hmac.compare_digest(proof, prove(self.key, terms, self.terms)):
                    self.refuse(1)
                self.open = True
                self.decoder.longest = self.PAYLOAD
                for channel in range(min(terms[2], self.CHANNELS)):
                    self.limit[channel] = int.from_bytes(terms[8:12], "little")
                    self.spent[channel] = self.received[channel] = 0
        if not flags & DONE:
            self.hello()

    def number(self, channel):
        """The sequence number of the next frame of a message, and the flag that goes with it."""
        space = "link" if self.reliable else channel
        number = self.next_out.get(space, 0)
        self.next_out[space] = (number + 1) % 65536
        return number, RELIABLE if self.reliable else 0

    def send(self, kind, flags, channel, message):
        longest = min(int.from_bytes(self.peer[4:8], "little"), int.from_bytes(self.peer[8:12], "little") // 2 - 8)
        parts = [message[at : at + longest] for at in range(0, len(message), longest)] or [b""]
        for index, part in enumerate(parts):
            ends = (START if index == 0 else 0) | (END if index == len(parts) - 1 else 0)
            self.outbox.append((kind, flags | ends, channel, part))
        self.flush()

    def flush(self):
        waiting, self.outbox, stuck = self.outbox, [], set()
        for kind, flags, channel, part in waiting:
            cost = 8 + len(part)
            if channel in stuck or self.spent[channel] + cost > self.limit[channel]:
                stuck.add(channel)
                self.outbox.append((kind, flags, channel, part))
                continue
            self.spent[channel] += cost
            number, reliable = self.number(channel)
            self.put(kind, flags | reliable, channel, part, number)

    def message(self, kind, flags, channel, payload):
        self.received[channel] += 8 + len(payload)
        held = b"" if flags & START else self.parts.get(channel, b"")
        self.parts[channel] = held + payload
        if flags & END:
            message = self.parts.pop(channel)
            if kind == DATA:
                self.send(DATA, 0, channel, message)
            elif kind == REQUEST:
                self.send(RESPONSE, 0, channel, message[:4] + message[:7:-1])
        # All that was read makes room again.
        total = self.received[channel] + self.WINDOW - len(self.parts.get(channel, b"")) - 8
        self.put(CREDIT, 0, channel, (total % 2**32).to_bytes(4, "little"))

    def taken(self, kind, flags, channel, sequence, payload):
        if kind == HELLO:
            return self.greeted(flags, payload)
        if kind == GOODBYE and payload != b"\0":
            sys.exit(f"refused by the peer: {payload[0]}")
        if not self.open:
            return None
        if flags & RELIABLE or kind in (DATA, REQUEST, RESPONSE, CANCEL):
            space = "link" if flags & RELIABLE else channel
            expected = self.next_in.get(space, 0)
            if flags & RELIABLE and sequence == expected:
                self.next_in[space] = (sequence + 1) % 65536
            if flags & RELIABLE:
                self.put(ACK, 0, 0, self.next_in.get(space, 0).to_bytes(2, "little") + bytes(4))
                if sequence != expected:
                    return None
            elif (sequence - expected) % 65536 < 32768:
                self.next_in[space] = (sequence + 1) % 65536
            else:
                return None
        if kind in (DATA, REQUEST, RESPONSE, CANCEL):
            return self.message(kind, flags, channel, payload)
        if kind == CREDIT:
            self.limit[channel] += (int.from_bytes(payload, "little") - self.limit[channel]) % 2**32
            return self.flush()
        if kind == BLOCKED:
            total = self.received[channel] + self.WINDOW - len(self.parts.get(channel, b"")) - 8
            return self.put(CREDIT, 0, channel, (total % 2**32).to_bytes(4, "little"))
        if kind == PING:
            return self.put(PONG, 0, 0, payload)
        if kind == GOODBYE:
            self.done = True
        return None

    def run(self):
        self.hello()
        while not (self.done and not self.outbox):
            data = self.read()
            if not data:
                sys.exit("broken pipe")
            for frame in self.decoder.feed(data):
                if not isinstance(frame, Damaged):
                    self.taken(*frame)
        number, reliable = self.number(0) if self.reliable else (0, 0)
        self.put(GOODBYE, reliable | DONE if not reliable else reliable, 0, b"\0", number)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["vectors", "echo"])
    parser.add_argument("which")
    parser.add_argument("--reliable", action="store_true")
    parser.add_argument("--key")
    parser.add_argument("--delay", type=float, default=0)
    given = parser.parse_args()
    if given.what == "vectors":
        return vectors(given.which)
    time.sleep(given.delay)
    key = None if given.key is None else given.key.encode()

    def write(data):
        while data:
            data = data[os.write(1, data) :]

    return Echo(given.which, given.reliable, key, lambda: os.read(0, 65536), write).run()


if __name__ == "__main__":
    main()
