#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pb_oracle.py PROGRAM [--cases N] [--seed N]: the codec against python3-protobuf.

Random messages of every type, half of them spoilt (at random, or just over a rule), go to PROGRAM
(pb_oracle.c). Three opinions must agree: the program, python3-protobuf, and `strict` below,
which says our rules a second time.
- The program accepts exactly what `strict` accepts.
- What it accepts, python3-protobuf accepts, and encodes (unknown fields dropped) to the same bytes.
- What python3-protobuf itself made within the limits, the program accepts.
Where we refuse what protobuf takes, on purpose (ADR 0011): limits of options.proto; a number over
its range (protobuf cuts it); a bool over 1; an enum value below 0; a message field or a oneof given
twice (protobuf merges or takes the last); a field with a wrong wire type (protobuf calls it
unknown); groups; a varint beyond 64 bits."""
import argparse
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from google.protobuf.message import DecodeError  # noqa: E402

import pbmodel  # noqa: E402
import pbsample  # noqa: E402


class Refused(Exception):
    """`strict` does not take it."""


def varint(data, at, bytes_max=10):
    value = 0
    for i in range(bytes_max):
        if at + i >= len(data):
            raise Refused("cut")
        value |= (data[at + i] & 0x7F) << (7 * i)
        if data[at + i] < 0x80:
            if value >> 64:
                raise Refused("beyond 64 bits")
            return value, at + i + 1
    raise Refused("long varint")


def parts(data):
    """(number, wire type, value) of each field of the bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at, 5)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise Refused("field number")
        if wire == 0:
            value, at = varint(data, at)
        else:
            length, at = varint(data, at, 5) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
            if length < 0 or length > len(data) - at:
                raise Refused("wire type or length")
            value, at = data[at:at + length], at + length
        yield number, wire, value


def numbers(field, wire, value):
    """The numbers of one part of a number field."""
    if wire == 0:
        return [value]
    if wire != 2 or not field.repeated:
        raise Refused("wire type")
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(number)
    return found


def check_bytes(field, value):
    if field.bytes_max and len(value) > field.bytes_max:
        raise Refused("too long")
    if field.bytes_exact and len(value) != field.bytes_exact and (field.repeated or value):
        raise Refused("length")
    if field.kind == "STRING":
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Refused("not UTF-8") from error


def take(field, wire, value):
    """The values one part gives to its field."""
    if field.is_number:
        limit = {"BOOL": 1, "U32": 2**32 - 1, "U64": 2**64 - 1, "ENUM": 2**31 - 1}[field.kind]
        found = numbers(field, wire, value)
        if any(number > limit for number in found):
            raise Refused("range")
        return found
    if wire != 2:
        raise Refused("wire type")
    if field.kind == "MESSAGE":
        strict(field.type, value)
    else:
        check_bytes(field, value)
    return [value]


def strict(message, data):
    fields, values, bodies = {f.number: f for f in message.fields}, {}, set()
    for number, wire, value in parts(data):
        field = fields.get(number)
        if field is None:
            continue
        found = take(field, wire, value)
        oneof = message.oneof_of(field)
        if (oneof and oneof.name in bodies) or (
                field.kind == "MESSAGE" and not field.repeated and number in values):
            raise Refused("twice")
        if oneof:
            bodies.add(oneof.name)
        values.setdefault(number, []).extend(found)
        if field.repeated and len(values[number]) > field.count_max:
            raise Refused("too many")
    for field in message.fields:
        if not field.required or (field.in_oneof and field.number not in values):
            continue
        given = values.get(field.number, [])
        empty = field.kind != "MESSAGE" and not field.repeated and not (given and given[-1])
        if not given or empty:
            raise Refused("required")


def random_bytes(rng, field):
    longest = field.bytes_max if 0 < field.bytes_max <= 64 else 20
    if field.bytes_exact:
        length = field.bytes_exact if rng.random() < 0.98 else rng.randrange(field.bytes_exact + 2)
    else:
        length = rng.choice([0, 1, rng.randrange(longest + 1), longest])
        length += rng.random() < 0.01
    return rng.randbytes(length)


def random_value(rng, field):
    if field.kind == "BOOL":
        return rng.random() < 0.5
    if field.kind == "ENUM":
        unknown = rng.choice([127, 128, 2**31 - 1])
        return rng.choice(field.type.values)[2] if rng.random() < 0.9 else unknown
    if field.kind in ("U32", "U64"):
        return rng.randrange(1 << rng.randrange(33 if field.kind == "U32" else 65))
    if field.kind == "BYTES":
        return random_bytes(rng, field)
    return "".join(rng.choice("aZ0 _é€😀") for _ in range(len(random_bytes(rng, field)) // 3))


def random_count(rng, field):
    if field.count_max <= 256 and rng.random() < 0.002:
        return field.count_max + rng.randrange(2)
    return rng.choice([0, 1, 2, 3])


def random_fill(world, rng, message, target):
    for item in message.items:
        fields = [item] if not isinstance(item, pbmodel.Oneof) else [rng.choice(item.fields)]
        for field in fields:
            if not field.required and rng.random() < 0.3:
                continue
            for _ in range(random_count(rng, field) if field.repeated else 1):
                random_field(world, rng, target, field)


def random_field(world, rng, target, field):
    place = getattr(target, field.name)
    if field.kind == "MESSAGE":
        inner = place.add() if field.repeated else place
        inner.SetInParent()
        random_fill(world, rng, field.type, inner)
    elif field.repeated:
        place.append(random_value(rng, field))
    else:
        setattr(target, field.name, random_value(rng, field))


def damage(rng, data, other):
    """One of the ways bytes go wrong."""
    way, at = rng.randrange(7), rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.randrange(1, 12))
    if way == 0:
        return data[:at]
    if way == 1:
        return data + other
    if way == 2:
        return data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at:]
    if way == 3:
        return data[:at] + data[end:]
    if way == 4:
        return data[:end] + data[at:]
    if way == 5:
        return data[:at] + bytes([rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF])]) + data[at + 1:]
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def key_and(number, wire, value):
    return to_varint(number << 3 | wire) + value


def to_varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def overstep(rng, message, data):
    """The bytes and behind them one well-formed field at the edge of its rule, or just beyond: what
    damage at random hardly ever makes."""
    if not message.fields:
        return data + key_and(1 + rng.randrange(99), rng.randrange(8), rng.randbytes(3))
    field = rng.choice(message.fields)
    if field.is_number:
        edge = {"BOOL": 1, "U32": 2**32 - 1, "U64": 2**64 - 1, "ENUM": 2**31 - 1}[field.kind]
        value = to_varint(edge + rng.randrange(3))
        count = field.count_max + rng.randrange(2) if field.repeated and rng.random() < 0.5 else 1
        return data + key_and(field.number, 0, value) * count
    if field.kind == "MESSAGE":
        return data + key_and(field.number, 2, b"\0") * (1 + rng.randrange(2))
    limit = field.bytes_exact or field.bytes_max
    length = (limit if 0 < limit <= 65536 else 9) + rng.randrange(-1, 2)
    value = (b"a" if field.kind == "STRING" else b"\xff") * rng.choice([length, 0])
    return data + key_and(field.number, 2, to_varint(len(value)) + value)


def is_strict(message, data):
    try:
        strict(message, data)
        return True
    except Refused:
        return False


def verdict(world, message, data, answer):
    """What is wrong with the program's answer, or None."""
    status, _, again = answer.partition(" ")
    if (status == "OK") != is_strict(message, data):
        return "the rules say otherwise"
    if status != "OK":
        return None if status in ("INVALID", "TOO_LARGE") else "no such refusal"
    theirs = world.new(message)
    try:
        theirs.ParseFromString(data)
    except DecodeError:
        return "protobuf refuses"
    theirs.DiscardUnknownFields()
    expected = theirs.SerializeToString(deterministic=True)
    return None if expected.hex() == again else f"protobuf encodes {expected.hex()}"


def cases(world, rng, count):
    messages = world.model.messages()
    for index in range(count):
        message = messages[index % len(messages)]
        made = []
        for _ in range(2):
            target = world.new(message)
            random_fill(world, rng, message, target)
            made.append(target.SerializeToString(deterministic=True))
        way = index // len(messages) % 4
        if way == 1:
            made[0] = overstep(rng, message, made[0])
        elif way == 3:
            made[0] = damage(rng, *made)
        yield message, made[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=60000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    world = pbsample.World()
    every = list(cases(world, random.Random(arguments.seed), arguments.cases))
    lines = "".join(f"{message.name} {data.hex() or '-'}\n" for message, data in every)
    done = subprocess.run([arguments.program], input=lines, capture_output=True, text=True,
                          check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(every), "an answer is missing"
    wrong = 0
    for (message, data), answer in zip(every, answers):
        fault = verdict(world, message, data, answer)
        if fault:
            wrong += 1
            print(f"{message.name} {data.hex()}\n  answer {answer}: {fault}")
        if wrong == 20:
            break
    accepted = sum(answer.startswith("OK") for answer in answers)
    print(f"{len(every)} cases of {len(world.classes)} types, {accepted} accepted, {wrong} wrong")
    sys.exit(wrong > 0 or accepted < len(every) // 3)


main()
