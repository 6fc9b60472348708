# SPDX-License-Identifier: Apache-2.0
"""pbsample: the messages of proto/ as python3-protobuf sees them, and an example of each. Shared by
tools/protocol-docs (which writes the examples) and tests/property/pb_oracle.py."""
import hashlib
import pathlib
import subprocess
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import pbmodel

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ["hello", "pärley", "two words", "x"]


def proto_paths():
    return [path for path in sorted((ROOT / "proto").glob("*.proto")) if path.stem != "options"]


def protoc(*arguments):
    subprocess.run(["protoc", *arguments, "-I", str(ROOT / "proto"), *map(str, proto_paths())],
                   check=True, stderr=subprocess.DEVNULL)


class World:
    """model: as pbgen reads the files; new(name): an empty python message of that type."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "set"
            protoc("-o", str(path), "--include_imports", "--include_source_info")
            files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        self.model = pbmodel.Model(files.file)
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        factory = message_factory.MessageFactory(pool)
        self.classes = {message.full: factory.GetPrototype(pool.FindMessageTypeByName(message.full))
                        for message in self.model.messages()}

    def new(self, message):
        return self.classes[message.full]()


def stream(name):
    """Bytes that depend on the name alone."""
    return hashlib.sha256(name.encode()).digest()


def value_of(field, where, index):
    """A value for a field that is no message, from the names alone, within its limits."""
    seed = stream(f"{where}.{field.name}[{index}]")
    if field.kind == "BOOL":
        return True
    if field.kind == "ENUM":
        return field.type.values[seed[0] % len(field.type.values)][2] or field.type.values[-1][2]
    if field.kind in ("U32", "U64"):
        return 1 + int.from_bytes(seed[:2], "big") % (1 << (4 + seed[2] % 13))
    if field.kind == "BYTES":
        return (seed * 2)[:field.bytes_exact or min(8, field.bytes_max or 8)]
    text = WORDS[seed[0] % len(WORDS)]
    return text if not field.bytes_max or len(text.encode()) <= field.bytes_max else "x"


def fill(world, message, target, choice):
    """Fill every field; of each oneof the alternative `choice` names, or the first."""
    for item in message.items:
        if isinstance(item, pbmodel.Oneof):
            named = [f for f in item.fields if f.name == choice]
            fields = named or item.fields[:1]
        else:
            fields = [item]
        for field in fields:
            fill_field(world, message, target, field)


def fill_field(world, message, target, field):
    count = 2 if field.repeated and field.count_max > 1 else 1
    for index in range(count):
        if field.kind == "MESSAGE":
            inner = getattr(target, field.name)
            inner = inner.add() if field.repeated else inner
            inner.SetInParent() if not field.repeated else None
            fill(world, field.type, inner, None)
        elif field.repeated:
            getattr(target, field.name).append(value_of(field, message.full, index))
        else:
            setattr(target, field.name, value_of(field, message.full, index))


def examples(world, message):
    """One message for each alternative of its oneofs, or one."""
    choices = [f.name for item in message.items if isinstance(item, pbmodel.Oneof)
               for f in item.fields]
    for choice in choices or [None]:
        target = world.new(message)
        fill(world, message, target, choice)
        yield target
