# SPDX-License-Identifier: Apache-2.0
"""pbmodel: what a set of .proto files says, in the words of the C code, with every rule of pb.h
checked. Used by pbgen (files from protoc) and by the oracle (files from a descriptor set)."""
import re

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as F

COUNT_MAX = 256
DEPTH_MAX = 8
OPTIONS = {50001: "max_bytes", 50002: "exact_bytes", 50003: "max_count", 50004: "required"}
SCALARS = {F.TYPE_BOOL: "BOOL", F.TYPE_UINT32: "U32", F.TYPE_UINT64: "U64", F.TYPE_ENUM: "ENUM",
           F.TYPE_BYTES: "BYTES", F.TYPE_STRING: "STRING", F.TYPE_MESSAGE: "MESSAGE"}
NUMBERS = ("BOOL", "U32", "U64", "ENUM")
OWN_TAGS = {"kind", "type", "field", "enum", "enum_value"}  # struct pb_x of pb.h itself
RESERVED = set("""auto break case char const continue default do double else enum extern float for
    goto if inline int long register restrict return short signed sizeof static struct switch
    typedef union unsigned void volatile while bool true false asm typeof linux unix
    errno""".split())


class Unsupported(Exception):
    """The .proto says what the codec cannot do."""


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name).lower().replace(".", "_")


def c_word(name):
    return name + "_" if name in RESERVED else name


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def options_of(options):
    """Our own options, read from the serialized bytes: the module that knows them is not built."""
    data, at, found = options.SerializeToString(), 0, {}
    while at < len(data):
        key, at = varint(data, at)
        value, next_at = varint(data, at)
        wire = key & 7
        at = {0: next_at, 1: at + 8, 2: next_at + value, 5: at + 4}[wire]
        if key >> 3 in OPTIONS and wire == 0:
            found[OPTIONS[key >> 3]] = value
    return found


class Field:
    def __init__(self, proto, message, comment):
        self.name, self.number, self.comment = proto.name, proto.number, comment
        self.c_name = c_word(proto.name)
        self.repeated = proto.label == F.LABEL_REPEATED
        self.where = f"{message.full}.{proto.name}"
        if proto.type not in SCALARS:
            raise Unsupported(f"{self.where}: its type is none of " + ", ".join(SCALARS.values()))
        self.kind = SCALARS[proto.type]
        self.type_name = proto.type_name.lstrip(".")
        self.type = None  # Message or Enum, once all are known
        self.in_oneof = proto.HasField("oneof_index") and not proto.proto3_optional
        if proto.proto3_optional and self.kind != "MESSAGE":
            raise Unsupported(f"{self.where}: optional is for messages only")
        if self.repeated and proto.options.HasField("packed") and not proto.options.packed:
            raise Unsupported(f"{self.where}: numbers are always packed")
        found = options_of(proto.options)
        self.bytes_max = found.get("max_bytes", 0)
        self.bytes_exact = found.get("exact_bytes", 0)
        self.required = bool(found.get("required", 0))
        self.count_max = found.get("max_count", COUNT_MAX) if self.repeated else 0
        self.check(found)

    def check(self, found):
        if "max_count" in found and not self.repeated:
            raise Unsupported(f"{self.where}: max_count is for repeated fields")
        if self.bytes_max and self.kind not in ("BYTES", "STRING"):
            raise Unsupported(f"{self.where}: max_bytes is for bytes and strings")
        if self.bytes_exact and self.kind != "BYTES":
            raise Unsupported(f"{self.where}: exact_bytes is for bytes")
        if self.bytes_exact and self.bytes_max:
            raise Unsupported(f"{self.where}: exact_bytes and max_bytes exclude each other")
        if self.repeated and not 0 < self.count_max <= 65536:
            raise Unsupported(f"{self.where}: max_count is 1..65536")

    @property
    def is_number(self):
        return self.kind in NUMBERS


class Oneof:
    def __init__(self, name, fields):
        self.name, self.fields = name, fields


class Message:
    def __init__(self, proto, full, comments, path):
        self.full, self.name, self.proto = full, full.split(".", 1)[-1], proto
        self.c_name = snake(self.name)
        self.comment = comments.get(path, "")
        if proto.extension_range or proto.extension:
            raise Unsupported(f"{full}: no extensions")
        if proto.options.map_entry:
            raise Unsupported(f"{full}: no maps")
        self.fields = [Field(field, self, comments.get(path + (2, index), ""))
                       for index, field in enumerate(proto.field)]
        self.items = []  # what the struct holds, in the order of the file: Field or Oneof
        for proto_field, field in zip(proto.field, self.fields):
            if not field.in_oneof:
                self.items.append(field)
                continue
            name = proto.oneof_decl[proto_field.oneof_index].name
            oneof = next((i for i in self.items if isinstance(i, Oneof) and i.name == name), None)
            if oneof is None:
                oneof = Oneof(name, [])
                self.items.append(oneof)
            oneof.fields.append(field)

    def by_number(self):
        return sorted(self.fields, key=lambda field: field.number)

    def oneof_of(self, field):
        return next((i for i in self.items if isinstance(i, Oneof) and field in i.fields), None)


class Enum:
    def __init__(self, proto, full, comments, path):
        self.full, self.name = full, full.split(".", 1)[-1]
        self.c_name = snake(self.name)
        self.comment = comments.get(path, "")
        prefix = snake(self.name).upper() + "_"
        self.values = []
        for index, value in enumerate(proto.value):
            if value.number < 0:
                raise Unsupported(f"{full}.{value.name}: below 0")
            if not value.name.startswith(prefix):
                raise Unsupported(f"{full}.{value.name}: does not begin with {prefix}")
            self.values.append((value.name, value.name[len(prefix):], value.number,
                                comments.get(path + (2, index), "")))


class File:
    def __init__(self, proto):
        self.path, self.proto = proto.name, proto
        self.name = proto.name.rsplit("/", 1)[-1].removesuffix(".proto")
        self.imports = [d.rsplit("/", 1)[-1].removesuffix(".proto") for d in proto.dependency
                        if not is_foreign(d)]
        self.messages, self.enums = [], []
        comments = {tuple(l.path): clean(l.leading_comments, l.trailing_comments)
                    for l in proto.source_code_info.location}
        head = [l for l in proto.source_code_info.location if tuple(l.path) == (12,)]
        self.comment = " ".join(clean(*l.leading_detached_comments, l.leading_comments)
                                for l in head)
        for index, enum in enumerate(proto.enum_type):
            self.enums.append(Enum(enum, f"{proto.package}.{enum.name}", comments, (5, index)))
        for index, message in enumerate(proto.message_type):
            self.add(message, proto.package, comments, (4, index))

    def add(self, proto, scope, comments, path):
        full = f"{scope}.{proto.name}"
        for index, enum in enumerate(proto.enum_type):
            self.enums.append(Enum(enum, f"{full}.{enum.name}", comments, path + (4, index)))
        for index, nested in enumerate(proto.nested_type):
            self.add(nested, full, comments, path + (3, index))
        self.messages.append(Message(proto, full, comments, path))


def is_foreign(path):
    return path.startswith("google/") or path.rsplit("/", 1)[-1] == "options.proto"


def clean(*comments):
    return " ".join(" ".join(comments).split())


class Model:
    """files: those to generate for; types of the files they import are known too."""

    def __init__(self, protos, wanted=None):
        every = [File(proto) for proto in protos if not is_foreign(proto.name)]
        for file in every:
            if file.proto.syntax != "proto3":
                raise Unsupported(f"{file.path}: only proto3")
        self.files = [f for f in every if wanted is None or f.path in wanted]
        self.types = {t.full: t for f in every for t in f.enums + f.messages}
        self.header = {t.full: f.name for f in every for t in f.enums + f.messages}
        for file in every:
            for message in file.messages:
                for field in message.fields:
                    field.type = self.types.get(field.type_name)
        for file in every:
            self.check_tags(file)
            for message in file.messages:
                self.check_depth(message, [])
            file.messages = ordered(file.messages)

    def check_tags(self, file):
        seen = dict.fromkeys(OWN_TAGS, "pb.h")
        for owner in [t for f in self.files for t in f.enums + f.messages]:
            tags = [owner.c_name]
            if isinstance(owner, Message):
                tags += [f"{owner.c_name}_{i.name}" for i in owner.items if isinstance(i, Oneof)]
            for tag in tags:
                if tag in seen:
                    raise Unsupported(f"{owner.full}: the tag pb_{tag} is already of {seen[tag]}")
                seen[tag] = owner.full

    def check_depth(self, message, above):
        if message.full in above:
            raise Unsupported(f"{message.full}: contains itself")
        if len(above) >= DEPTH_MAX:
            raise Unsupported(f"{message.full}: nested deeper than {DEPTH_MAX}")
        for field in message.fields:
            if field.kind == "MESSAGE":
                self.check_depth(field.type, above + [message.full])

    def messages(self):
        return [message for file in self.files for message in file.messages]


def ordered(messages):
    """What is held by value comes before what holds it; else the order of the file."""
    done, left = [], list(messages)
    while left:
        names = {m.full for m in left}
        ready = next(m for m in left if not any(
            f.type_name in names and f.kind == "MESSAGE" for f in m.fields))
        done.append(ready)
        left.remove(ready)
    return done
