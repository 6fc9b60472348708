# SPDX-License-Identifier: Apache-2.0
"""pbgen_c: structs, tables and typed wrappers of the messages, for pbgen."""
import itertools

from pbmodel import Oneof

HEAD = "/* SPDX-License-Identifier: Apache-2.0\n * Made by tools/pbgen from {}; do not edit. */\n"
PLAIN = {"BOOL": "bool", "U32": "uint32_t", "U64": "uint64_t", "BYTES": "struct slice",
         "STRING": "struct slice"}


def c_type(field):
    if field.kind == "ENUM":
        return f"enum pb_{field.type.c_name}"
    if field.kind == "MESSAGE":
        return f"struct pb_{field.type.c_name}"
    return PLAIN[field.kind]


def member(field, indent):
    kind = c_type(field)
    if field.repeated:
        return [f"{indent}{kind} *{field.c_name};", f"{indent}size_t {field.name}_count;"]
    if field.kind == "MESSAGE" and not field.in_oneof:
        return [f"{indent}{kind} {field.c_name};", f"{indent}bool has_{field.name};"]
    return [f"{indent}{kind} {field.c_name};"]


def comment(text):
    text = text.replace("*/", "* /")
    return [f"/* {text} */"] if text else []


def enum_text(enum):
    lines = comment(enum.comment) + [f"enum pb_{enum.c_name} {{"]
    lines += [f"    PB_{name} = {number}," for name, _, number, _ in enum.values]
    return lines + ["};", f"extern const struct pb_enum pb_{enum.c_name}_enum;", ""]


def case_name(message, oneof, field):
    return f"PB_{message.c_name}_{oneof.name}_{field.name}".upper()


def message_text(message):
    name, lines = message.c_name, []
    for oneof in [item for item in message.items if isinstance(item, Oneof)]:
        lines.append(f"enum pb_{name}_{oneof.name} {{")
        lines.append("    " + f"PB_{name}_{oneof.name}_NONE".upper() + " = 0,")
        lines += [f"    {case_name(message, oneof, f)} = {f.number}," for f in oneof.fields]
        lines += ["};", ""]
    lines += comment(message.comment) + [f"struct pb_{name} {{"]
    for item in message.items:
        if isinstance(item, Oneof):
            lines.append(f"    enum pb_{name}_{item.name} {item.name}_case;")
            lines.append("    union {")
            for field in item.fields:
                lines += member(field, "        ")
            lines.append(f"    }} {item.name};")
        else:
            lines += member(item, "    ")
    if not message.items:
        lines.append("    bool empty_; /* C has no empty struct */")
    lines += ["};", f"extern const struct pb_type pb_{name}_type;", ""]
    return lines + wrappers(name)


def wrappers(name):
    kind = f"struct pb_{name}"
    return [
        f"static inline MUST_USE enum status pb_{name}_decode(struct slice in,",
        f"    struct arena *arena, {kind} *out)",
        f"{{ return pb_decode(&pb_{name}_type, in, arena, out); }}",
        f"static inline size_t pb_{name}_size(const {kind} *message)",
        f"{{ return pb_size(&pb_{name}_type, message); }}",
        f"static inline void pb_{name}_encode(const {kind} *message, struct buf *out)",
        f"{{ pb_encode(&pb_{name}_type, message, out); }}",
        f"static inline struct slice pb_{name}_pack(const {kind} *message, struct arena *arena)",
        f"{{ return pb_pack(&pb_{name}_type, message, arena); }}",
        f"static inline struct slice pb_{name}_pack_v1(const {kind} *message, struct arena *arena)",
        f"{{ return pb_wrap(&pb_{name}_type, 1, message, arena); }}",
        f"static inline MUST_USE enum status pb_{name}_decode_v1(struct slice in,",
        f"    struct arena *arena, {kind} *out)",
        "{",
        "    struct slice inner;",
        "    enum status status = pb_unwrap(in, 1, &inner);",
        f"    return status != STATUS_OK ? status : pb_{name}_decode(inner, arena, out);",
        "}",
        "",
    ]


def header(file):
    lines = [HEAD.format(f"proto/{file.name}.proto") + "#pragma once", "", '#include "wire/pb.h"']
    lines += [f'#include "wire/gen/{name}.pb.h"' for name in sorted(file.imports)] + [""]
    for enum in file.enums:
        lines += enum_text(enum)
    for message in file.messages:
        lines += message_text(message)
    return "\n".join(lines)


def run_of(message, field):
    """How many fields in a row, from this one on, are of its oneof."""
    fields, oneof = message.by_number(), message.oneof_of(field)
    behind = fields[fields.index(field):]
    return len(list(itertools.takewhile(lambda f: message.oneof_of(f) is oneof, behind)))


def row(message, field):
    kind, oneof = f"struct pb_{message.c_name}", message.oneof_of(field)
    at = f"{oneof.name}.{field.c_name}" if oneof else field.c_name
    beside = None
    if oneof:
        beside = f"{oneof.name}_case"
    elif field.repeated:
        beside = f"{field.name}_count"
    elif field.kind == "MESSAGE":
        beside = f"has_{field.name}"
    parts = [f'.name = "{field.name}"', f".number = {field.number}",
             f".kind = PB_KIND_{field.kind}",
             f".at = offsetof({kind}, {at})"]
    if beside:
        parts.append(f".beside = offsetof({kind}, {beside})")
    if field.kind == "MESSAGE":
        parts.append(f".message = &pb_{field.type.c_name}_type")
    if field.kind == "ENUM":
        parts.append(f".enumerated = &pb_{field.type.c_name}_enum")
    for word, is_set in (("repeated", field.repeated), ("required", field.required),
                         ("oneof", oneof is not None)):
        if is_set:
            parts.append(f".{word} = true")
    if oneof:
        parts.append(f".run = {run_of(message, field)}")
    for word in ("bytes_max", "bytes_exact", "count_max"):
        if getattr(field, word):
            parts.append(f".{word} = {getattr(field, word)}")
    return "    {" + ", ".join(parts) + "},"


def any_of(fields, what):
    return "true" if any(getattr(field, what) for field in fields) else "false"


def source(file):
    lines = [HEAD.format(f"proto/{file.name}.proto") + f'#include "wire/gen/{file.name}.pb.h"', ""]
    for enum in file.enums:
        table = f"{enum.c_name}_values"
        lines.append(f"static const struct pb_enum_value {table}[] = {{")
        lines += [f'    {{{number}, "{short}"}},' for _, short, number, _ in enum.values]
        lines += ["};", f"const struct pb_enum pb_{enum.c_name}_enum = {{{table},",
                  f"    sizeof {table} / sizeof {table}[0]}};", ""]
    for message in file.messages:
        name, fields = message.c_name, message.by_number()
        if fields:
            lines.append(f"static const struct pb_field {name}_fields[] = {{")
            lines += [row(message, field) for field in fields] + ["};"]
        lines += [f'const struct pb_type pb_{name}_type = {{"{message.name}", '
                  f"{name + '_fields' if fields else 'NULL'}, {len(fields)},",
                  f"    sizeof(struct pb_{name}), {any_of(fields, 'repeated')}, "
                  f"{any_of(fields, 'required')}}};", ""]
    return "\n".join(lines)


def registry(model):
    names = [message.c_name for message in model.messages()]
    head = HEAD.format("proto/") + '#pragma once\n\n#include "wire/pb.h"\n\n'
    head += "/* Every message there is, for tests and tools. */\n"
    head += f"#define PB_TYPE_COUNT {len(names)}\n"
    head += "extern const struct pb_type *const pb_types[PB_TYPE_COUNT];\n"
    body = HEAD.format("proto/") + '#include "wire/gen/types.pb.h"\n\n'
    body += "".join(f'#include "wire/gen/{file.name}.pb.h"\n' for file in model.files)
    body += "\nconst struct pb_type *const pb_types[PB_TYPE_COUNT] = {\n"
    body += "".join(f"    &pb_{name}_type,\n" for name in names) + "};\n"
    return [("types.pb.h", head), ("types.pb.c", body)]


def files(model):
    made = []
    for file in model.files:
        made += [(f"{file.name}.pb.h", header(file)), (f"{file.name}.pb.c", source(file))]
    return made + (registry(model) if len(model.files) > 1 else [])
