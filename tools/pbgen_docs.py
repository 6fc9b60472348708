# SPDX-License-Identifier: Apache-2.0
"""pbgen_docs: the tables of docs/protocol, one page for each .proto, for pbgen."""
TYPES = {"BOOL": "bool", "U32": "uint32", "U64": "uint64", "BYTES": "bytes", "STRING": "string"}


def cell(text):
    return text.replace("|", "\\|")


def link(model, page, kind):
    name = model.header[kind.full]
    return f"[{kind.name}]({'' if name == page.name else name + '.md'}#{kind.name.lower()})"


def type_text(model, page, field):
    text = TYPES.get(field.kind) or link(model, page, field.type)
    return f"{text} []" if field.repeated else text


def limit_text(field, oneof):
    parts = []
    if field.bytes_exact:
        parts.append(f"{field.bytes_exact} B")
    if field.bytes_max:
        parts.append(f"≤ {field.bytes_max} B")
    if field.repeated:
        parts.append(f"≤ {field.count_max} of them")
    if field.required:
        parts.append("required")
    if oneof:
        parts.append(f"one of `{oneof.name}`")
    return ", ".join(parts)


def page_text(model, page):
    lines = ["<!-- SPDX-License-Identifier: Apache-2.0 -->", f"# {page.name}.proto", "",
             f"Made by tools/pbgen from proto/{page.name}.proto; `tools/protocol-docs` writes it "
             "anew. An example of every message: "
             f"[vectors/{page.name}.txt](vectors/{page.name}.txt).", ""]
    if page.comment:
        lines += [page.comment.removeprefix("SPDX-License-Identifier: Apache-2.0 "), ""]
    for message in sorted(page.messages, key=lambda m: m.name):
        lines += [f"## {message.name}", ""]
        lines += [message.comment, ""] if message.comment else []
        if not message.fields:
            lines += ["No fields.", ""]
            continue
        lines += ["| number | field | type | limit | meaning |", "|---|---|---|---|---|"]
        lines += [f"| {f.number} | `{f.name}` | {type_text(model, page, f)} "
                  f"| {limit_text(f, message.oneof_of(f))} | {cell(f.comment)} |"
                  for f in message.by_number()] + [""]
    for enum in sorted(page.enums, key=lambda e: e.name):
        lines += [f"## {enum.name}", ""]
        lines += [enum.comment, ""] if enum.comment else []
        lines += ["| number | value | meaning |", "|---|---|---|"]
        lines += [f"| {number} | `{short}` | {cell(note)} |"
                  for _, short, number, note in enum.values] + [""]
    return "\n".join(lines)


def files(model):
    return [(f"{page.name}.md", page_text(model, page)) for page in model.files]
