"""Draws calls of urllib.parse from a seed, makes them, and prints each call and what came of it.

    url_python.py SEED COUNT

A line is the call and the answer, both JSON, with a tab between. An answer is {"ok": ...} or {"error": true}.
"""
import json
import random
import sys
import urllib.parse as up

seed, count = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
pick = rng.choice

SCHEMES = ["http", "https", "HTTP", "ftp", "file", "mailto", "tel", "sip", "svn+ssh", "git", "x", "a+B-.1", "1x", "ws", "", "é"]
HOSTS = ["h", "Example.ORG", "", "[::1]", "[::FFFF:1.2.3.4]", "[fe80::A%tESt]", "[v1.x]", "[V1.x]", "[1.2.3.4]", "[::1", "::1]",
         "[1:2:3:4:5:6:7:8]", "[1::2::3]", "[1:2:3:4:5:6:7::]", "[12345::]", "[::1%]", "[]", "1.2.3.4", "bücher.example", "ΟΔΟΣ.gr",
         "ΑΣ", "İ.tr", "h℀x", "h＃", "h：80", "a⩴b", "ﬀ.de", "ｈ", "xn--9ca"]
USERS = ["", "", "", "u@", "u:p@", "u:p:q@", "@", ":@", "u@v@", "u:@", "%40@"]
PORTS = ["", "", "", ":", ":80", ":00080", ":65535", ":65536", ":-1", ": 80", ":0x50", ":８０", ":80:90", ":99999999999999999999"]
SEGMENTS = ["", "a", "b", "..", ".", "c;d", ";", "...", "é", "%2e%2e", "a:b", "x=y", "@", "g;x=1"]
NASTY = list("\t\r\n \0\x0b\x1c\x1f\x7f\x85\xa0\u2028\u3000éΣςİ℀⩴／：＠🌊[]@:%\\/?#;&=+<>\"'{}|^`~")
PIECES = ["a", "b", "Z", "0", "+", "%", "%41", "%2", "%zz", "%C3", "%A9", "%c3%a9", "%E2%82", "%f0%9f%8c%8a", "%ff", "%ED%A0%80", "é",
          "€", "=", "&", ";", "/", " ", "~", "\n", "'", '"', "\\", "\x00", "\x7f", "\xad", "\u200b", "🌊"]


def url():
    text = ""
    if rng.random() < 0.7:
        text += pick(SCHEMES) + ":"
    if rng.random() < 0.7:
        text += "//" + pick(USERS) + pick(HOSTS) + pick(PORTS)
    text += path()
    if rng.random() < 0.4:
        text += "?" + pick(["", "q", "a=b&c", "q?r", "x/y", "/../"])
    if rng.random() < 0.4:
        text += "#" + pick(["", "f", "g#h", "i?j", "/../"])
    return mutated(text)


def path():
    parts = [pick(SEGMENTS) for _ in range(rng.randrange(6))]
    return pick(["", "/", "//", "/"]) + "/".join(parts)


def mutated(text):
    while rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + pick(NASTY) + text[at + rng.randrange(2):]
    return text


def text():
    return "".join(pick(PIECES) for _ in range(rng.randrange(8)))


def query():
    return pick(["&", ";", "&"]).join(pick([text(), text() + "=" + text(), "a", "a=", "=b", "a=1", ""]) for _ in range(rng.randrange(6)))


def codec(errors):
    kw = {}
    if rng.random() < 0.3:
        kw["encoding"] = pick(["utf-8", "latin-1", "ascii"])
    if rng.random() < 0.3:
        kw["errors"] = pick(errors)
    return kw


def value(depth=0):
    kinds = [text, text, lambda: rng.randrange(-9, 99), lambda: pick([None, True, False, 1.5, 1e16, 1e-7])]
    if depth < 2:
        kinds.append(lambda: [value(depth + 1) for _ in range(rng.randrange(3))])
        kinds.append(lambda: {"k" + text(): value(depth + 1) for _ in range(rng.randrange(3))})
    return pick(kinds)()


def call():
    """The function's name, its arguments by position and by name."""
    op = pick(["urlsplit"] * 4 + ["urlparse"] * 3 + ["urljoin"] * 5 + ["urldefrag", "urlunsplit", "urlunparse", "parse_qs"]
              + ["parse_qsl"] * 2 + ["urlencode", "quote", "quote_plus", "unquote", "unquote_plus", "unquote_to_bytes", "unwrap"])
    kw = {}
    if op in ("urlsplit", "urlparse"):
        if rng.random() < 0.2:
            kw["scheme"] = mutated(pick(SCHEMES))
        if rng.random() < 0.2:
            kw["allow_fragments"] = pick([True, False])
        return op, [url()], kw
    if op == "urljoin":
        if rng.random() < 0.1:
            kw["allow_fragments"] = False
        return op, [pick([url(), "http://a/b/c/d;p?q"]), pick([url(), mutated(path())])], kw
    if op in ("urlunsplit", "urlunparse"):
        parts = [pick(SCHEMES), pick(["", "", pick(HOSTS)]), mutated(path()), pick(["", "p", ";"]), pick(["", "q"]), pick(["", "f"])]
        if op == "urlunsplit":
            del parts[3]
        return op, [parts], kw
    if op in ("parse_qs", "parse_qsl"):
        for name in ("keep_blank_values", "strict_parsing"):
            if rng.random() < 0.3:
                kw[name] = True
        if rng.random() < 0.2:
            kw["separator"] = pick([";", "&", "", "&&", "é", "="])
        if rng.random() < 0.2:
            kw["max_num_fields"] = rng.randrange(4)
        return op, [query()], kw | codec(["strict", "replace", "ignore", "backslashreplace"])
    if op == "urlencode":
        fields = {text(): value() for _ in range(rng.randrange(4))}
        if rng.random() < 0.5:
            fields = [[name, item] for name, item in fields.items()]
        if rng.random() < 0.5:
            kw["doseq"] = True
        if rng.random() < 0.3:
            kw["safe"] = text()
        if rng.random() < 0.3:
            kw["quote_via"] = pick(["quote", "quote_plus"])
        return op, [fields], kw | codec(["strict", "replace", "ignore", "xmlcharrefreplace", "backslashreplace"])
    if op in ("quote", "quote_plus"):
        if rng.random() < 0.5:
            kw["safe"] = text()
        return op, [text()], kw | codec(["strict", "replace", "ignore", "xmlcharrefreplace", "backslashreplace"])
    if op in ("unquote", "unquote_plus"):
        return op, [text()], codec(["strict", "replace", "ignore", "backslashreplace"])
    if op == "unwrap":
        return op, [pick(["", " ", "<", "\x1c<URL:", "\x85<"]) + url() + pick(["", ">", "> ", "\u3000"])], kw
    return op, [url() if op == "urldefrag" else text()], kw


def has_text_around_brackets(result):
    """Python 3.13.2 and later refuse what 3.13.0 took."""
    host = result.netloc.rpartition("@")[2]
    before, opened, rest = host.partition("[")
    after = rest.partition("]")[2]
    return bool(opened) and (bool(before) or bool(after) and not after.startswith(":"))


def attributes(result):
    answer = result._asdict() | {name: getattr(result, name) for name in ("username", "password", "hostname")}
    try:
        answer["port"] = result.port
    except ValueError:
        answer["port"] = {"error": True}
    return answer | {"geturl": result.geturl()}


def answer(op, args, kw):
    kw = dict(kw)
    if op == "urlencode":
        if isinstance(args[0], list):
            args = [[tuple(pair) for pair in args[0]]]
        if "quote_via" in kw:
            kw["quote_via"] = getattr(up, kw["quote_via"])
    try:
        result = getattr(up, op)(*args, **kw)
    except ValueError:
        return {"error": True}
    if op in ("urlsplit", "urlparse"):
        result = attributes(result)
    elif op == "urldefrag":
        result = result._asdict() | {"geturl": result.geturl()}
    elif op == "unquote_to_bytes":
        result = {"b": result.hex()}
    return {"ok": result}


done = 0
while done < count:
    op, args, kw = call()
    if sys.version_info >= (3, 13, 1):
        try:
            urls = args if op in ("urlsplit", "urlparse", "urljoin", "urldefrag") else []
            if any(has_text_around_brackets(up.urlsplit(url)) for url in urls):
                continue
        except ValueError:
            continue
    line = json.dumps({"op": op, "args": args, "kw": kw}) + "\t" + json.dumps(answer(op, args, kw))
    sys.stdout.write(line + "\n")
    done += 1
