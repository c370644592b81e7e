# SPDX-License-Identifier: BSL-1.0
"""The reference: what Doxygen reads in the public headers, as Markdown, a page per header.

Doxygen decides what is public (packaging/site/Doxyfile) and says what has no words; this turns its XML into pages in
the order of the source, with overloads under one heading, and links a name in backticks to the place that documents it.
"""
import collections
import dataclasses
import pathlib
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

# The public rooms, in the order of reading, and the umbrellas that stand outside of them.
ROOMS = ["base", "task", "job", "runtime", "process", "node", "cli", "data", "torch", "cuda"]
INTERNAL = ["wire", "control", "net", "sim"]
WIDTH = 76  # of a signature, beyond which its parameters stand one a line
SHOWN = ("public", "protected")
CLASSES = ("class", "struct", "union")


class Failure(Exception):
    pass


def doxygen(root, out):
    """Runs Doxygen into out and gives its warnings."""
    settings = (root / "packaging/site/Doxyfile").read_text() + f"\nOUTPUT_DIRECTORY = \"{out}\"\n"
    try:
        done = subprocess.run(["doxygen", "-"], cwd=root, input=settings, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise Failure("doxygen is missing: scripts/setup site") from None
    if done.returncode != 0:
        raise Failure(f"doxygen ended with {done.returncode}: {done.stderr}")
    return [line for line in done.stderr.splitlines() if line.strip()]


@dataclasses.dataclass
class Entry:
    """A class, a concept or a member."""
    xml: ElementTree.Element
    kind: str
    name: str  # as one writes it inside dtask, without template arguments: cuda::runtime, outcome::value
    header: str
    line: int
    anchor: str = ""
    members: list = dataclasses.field(default_factory=list)


def flat(element):
    return "" if element is None else re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def tidy(code):
    """Doxygen's blanks around <, >, & and * as clang-format would set them."""
    code = re.sub(r"\s+", " ", code).strip()
    code = re.sub(r"<\s+", "<", code)
    code = re.sub(r"\s+>", ">", code)
    code = re.sub(r"\s+([&*]+)", r"\1", code)
    code = re.sub(r"([&*])(?=[A-Za-z_])", r"\1 ", code)
    code = re.sub(r"\)(&+)", r") \1", code)
    code = re.sub(r"\((\*+) ", r"(\1", code)
    code = re.sub(r"\boperator\s*(<=>|[<>]=?)", r"operator\1", code)
    return code.replace("dtask::", "").replace("=delete", " = delete").replace("=default", " = default").replace("= =", "=").replace("  ", " ")


def template_of(xml):
    params = xml.find("templateparamlist")
    if params is None:
        return ""
    each = []
    for p in params:
        text = tidy(flat(p.find("type")))
        name = flat(p.find("declname"))
        if name and not re.search(rf"\b{re.escape(name)}$", text):
            text += f" {name}"
        if p.find("defval") is not None:
            text += f" = {tidy(flat(p.find('defval')))}"
        each.append(text)
    text = f"template <{', '.join(each)}>"
    if (requires := xml.find("requiresclause")) is not None and flat(requires):
        text += f"\n  requires {flat(requires)}"
    return text + "\n"


def split_arguments(text):
    """(inside the first parentheses, split at its commas; the rest)"""
    depth, parts, start = 0, [], 1
    for i, c in enumerate(text):
        if c in "([{<":
            depth += 1
        elif c in ")]}>" and not (c == ">" and text[i - 1] in "-="):
            depth -= 1
            if depth == 0:
                parts.append(text[start:i].strip())
                return [p for p in parts if p], text[i + 1:]
        elif c == "," and depth == 1:
            parts.append(text[start:i].strip())
            start = i + 1
    return None, text


def function_signature(xml):
    kind = "static " if xml.get("static") == "yes" else ""
    kind += "explicit " if xml.get("explicit") == "yes" else ""
    kind += "virtual " if xml.get("virt") in ("virtual", "pure-virtual") else ""
    # Words of the declaration that say nothing to its callers.
    type_ = re.sub(r"\b(inline|friend|constexpr|DTASK_INLINE|virtual|explicit|static)\b\s*", "", tidy(flat(xml.find("type"))))
    # What exactly is awaited, the library keeps to itself.
    type_ = re.sub(r"^detail::\w+(<.*>)?$", "auto", type_)
    head = f"{kind}{type_ + ' ' if type_ else ''}{tidy(flat(xml.find('name')))}"
    arguments = re.sub(r"(?<=[\w>&*])=(?=[^=\s])", " = ", tidy(flat(xml.find("argsstring"))))
    line = head + arguments
    if len(line) > WIDTH:
        parts, rest = split_arguments(arguments)
        if parts:
            line = head + "(\n    " + ",\n    ".join(parts) + ")" + rest
    return template_of(xml) + line + ";"


def initialiser(xml):
    text = flat(xml.find("initializer")).replace("dtask::", "")
    if not text or len(text) > 60:
        return ""
    return f" {text}" if text.startswith("=") else text


def signature(entry):
    xml = entry.xml
    name = entry.name.rsplit("::", 1)[-1]
    if entry.kind == "function":
        return function_signature(xml)
    if entry.kind == "friend":
        return function_signature(xml)
    if entry.kind == "variable":
        return f"{template_of(xml)}{tidy(flat(xml.find('type')))} {name}{tidy(flat(xml.find('argsstring')))}{initialiser(xml)};"
    if entry.kind == "typedef":
        return f"{template_of(xml)}using {name} = {tidy(flat(xml.find('type')))};"
    if entry.kind == "enum":
        return f"enum {'class ' if xml.get('strong') == 'yes' else ''}{name};"
    if entry.kind == "define":
        params = [flat(p.find("defname")) for p in xml.findall("param")]
        return f"#define {name}{'(' + ', '.join(params) + ')' if params else ''}"
    if entry.kind == "concept":
        text = re.sub(r"\s*\n\s*", " ", "".join(xml.find("initializer").itertext()))
        text = re.sub(r"\s+", " ", text).replace("dtask::", "").strip()
        if len(text) > WIDTH:
            text = text.replace("{ ", "{\n  ", 1).replace("; ", ";\n  ")
            text = re.sub(r"\s+}(\s*);?$", "\n};", text)
        text = re.sub(r"^template\s*<(.*?)>\s*concept", r"template <\1>\nconcept", text)
        return text if text.endswith(";") else text + ";"
    shown = [tidy(flat(b)) for b in xml.findall("basecompoundref") if b.get("prot") == "public" and "detail" not in flat(b)]
    title = flat(xml.find("compoundname")).removeprefix("dtask::").replace("cuda::", "")
    return f"{template_of(xml)}{entry.kind} {tidy(title)}{' : ' + ', '.join(shown) if shown else ''};"


class Reference:
    def __init__(self, root, xml):
        self.root = root
        self.entries = {}  # Doxygen's id -> Entry
        self.pages = collections.defaultdict(list)  # header -> its entries, in the order of the source
        self.names = collections.defaultdict(list)  # name -> its entries
        self.parameters = set()  # of what is being written
        trees = [ElementTree.parse(p).getroot() for p in sorted(xml.glob("*.xml")) if not p.name.startswith(("dir_", "Doxyfile", "index."))]
        compounds = [c for tree in trees for c in tree.findall("compounddef")]
        hidden = {i.get("refid") for c in compounds for i in c.findall("innerclass") if i.get("prot") not in SHOWN}
        for compound in compounds:
            self.read(compound, hidden)
        for entries in self.pages.values():
            entries.sort(key=lambda e: (e.line, e.name))
            self.set_anchors(entries)

    def read(self, compound, hidden):
        kind, name = compound.get("kind"), flat(compound.find("compoundname"))
        if kind in CLASSES + ("concept",):
            refid = compound.get("id")
            # Inside something hidden, or without a word: marked internal, or seen only through what is.
            if any(refid == h or refid.startswith(h + "_1_1") for h in hidden) or not name.startswith("dtask::") or not self.words(compound):
                return
            entry = self.entry(compound, kind, name, refid)
            if entry is None:
                return
            self.pages[entry.header].append(entry)
            entry.members = [m for m in (self.member(x, name) for x in compound.iter("memberdef")) if m]
            entry.members.sort(key=lambda e: e.line)
        elif kind == "namespace" and name.startswith("dtask"):
            for x in compound.iter("memberdef"):
                if member := self.member(x, name):
                    self.pages[member.header].append(member)
        elif kind == "file":
            for x in compound.iter("memberdef"):
                if x.get("kind") == "define" and self.words(x):
                    if member := self.member(x, ""):
                        self.pages[member.header].append(member)

    def words(self, xml):
        return bool(flat(xml.find("briefdescription")) or flat(xml.find("detaileddescription")))

    def member(self, xml, outer):
        if xml.get("prot") not in SHOWN or not self.words(xml) or (xml.get("kind") == "friend" and "class" in flat(xml.find("type"))):
            return None
        name = flat(xml.find("name"))
        return self.entry(xml, xml.get("kind"), f"{outer}::{name}" if outer else name, xml.get("id"))

    def entry(self, xml, kind, name, refid):
        location = xml.find("location")
        header = location.get("file").split("include/", 1)[-1]
        room = header.split("/")[1].removesuffix(".hpp")
        if room in INTERNAL or refid in self.entries:
            return None
        short = re.sub(r"<.*?>(?=::|$)", "", name.replace(" ", "")) if "operator" not in name else name
        entry = Entry(xml, kind, short.removeprefix("dtask::"), header, int(location.get("line")))
        self.entries[refid] = entry
        self.names[entry.name].append(entry)
        return entry

    def set_anchors(self, entries):
        """Overloads share the anchor; specialisations of a class have one each."""
        taken = set()
        for entry in entries:
            entry.anchor = anchor(entry.name)
            if entry.kind in CLASSES:
                while entry.anchor in taken:
                    entry.anchor += "-special"
                taken.add(entry.anchor)
            for member in entry.members:
                member.anchor = f"{entry.anchor}-{anchor(member.name.rsplit('::', 1)[-1])}"

    # Text.

    def url(self, entry, page):
        here, there = page_of(page), page_of(entry.header)
        if here == there:
            return f"#{entry.anchor}"
        up = "../" * here.count("/")
        return f"{up}{there}#{entry.anchor}"

    def find(self, name, scope):
        """The entry that a name in backticks means: of the class that it stands in, else of dtask; none for a parameter."""
        if name in self.parameters:
            return None
        name = re.sub(r"\(\)$", "", name).removeprefix("dtask::")
        if not re.fullmatch(r"~?\w+(::\w+)*", name):
            return None
        parts = scope.split("::") if scope else []
        for depth in range(len(parts), -1, -1):
            if found := self.names.get("::".join(parts[:depth] + [name])):
                return found[0]
        return None

    def inline(self, node, page, scope):
        out = [escape(node.text or "")]
        for child in node:
            if child.tag == "computeroutput":
                code = re.sub(r"\s+", " ", "".join(child.itertext()))
                target = self.find(code, scope)
                ticks = "``" if "`" in code else "`"
                text = f"{ticks}{code}{ticks}"
                out.append(f"[{text}]({self.url(target, page)})" if target is not None and target.name != scope else text)
            elif child.tag == "ref":
                target, text = self.entries.get(child.get("refid")), flat(child)
                out.append(f"[`{text}`]({self.url(target, page)})" if target is not None and target.anchor else f"`{text}`")
            elif child.tag == "ulink":
                out.append(f"[{escape(flat(child))}]({child.get('url')})")
            elif child.tag == "emphasis":
                out.append(f"*{self.inline(child, page, scope)}*")
            elif child.tag == "bold":
                out.append(f"**{self.inline(child, page, scope)}**")
            elif child.tag == "sp":
                out.append(" ")
            elif child.tag == "linebreak":
                out.append("<br>")
            elif child.tag in ("ndash", "mdash", "nonbreakablespace"):
                out.append({"ndash": "–", "mdash": "—", "nonbreakablespace": " "}[child.tag])
            else:
                raise Failure(f"{page}: {scope}: the reference does not know Doxygen's <{child.tag}>: add it to packaging/site/reference.py")
            out.append(escape(child.tail or ""))
        return "".join(out)

    def block(self, description, page, scope):
        """Paragraphs, lists and code of a description, as blocks of Markdown."""
        out = []
        for para in [] if description is None else description:
            if para.tag != "para":
                continue
            run = ElementTree.Element("para")
            run.text = para.text

            def flush():
                nonlocal run
                if text := re.sub(r"[ \t]*\n[ \t]*", " ", self.inline(run, page, scope)).strip():
                    out.append(text)
                run = ElementTree.Element("para")

            for child in para:
                if child.tag in ("itemizedlist", "orderedlist"):
                    flush()
                    mark = "-" if child.tag == "itemizedlist" else "1."
                    items = ["\n\n".join(self.block(item, page, scope)).replace("\n", "\n    ") for item in child]
                    out.append("\n".join(f"{mark}   {item}" for item in items))
                elif child.tag in ("programlisting", "verbatim"):
                    flush()
                    if child.tag == "verbatim":
                        code = child.text or ""
                    else:
                        for sp in child.iter("sp"):
                            sp.text = " "
                        code = "\n".join("".join(line.itertext()) for line in child.findall("codeline"))
                    out.append(f"```cpp\n{code.strip(chr(10)).rstrip()}\n```")
                elif child.tag == "simplesect":
                    flush()
                    inner = self.block(child, page, scope)
                    out += [f"**{child.get('kind').capitalize()}:** {inner[0]}", *inner[1:]] if inner else []
                else:
                    run.append(child)
                    continue
                run.text = child.tail
            flush()
        return out

    def text(self, entry, scope=None):
        scope = entry.name.rsplit("::", 1)[0] if scope is None and "::" in entry.name else scope or ""
        self.parameters = {flat(p) for tag in ("declname", "defname") for p in entry.xml.iter(tag)}
        blocks = [b for tag in ("briefdescription", "detaileddescription") for b in self.block(entry.xml.find(tag), entry.header, scope)]
        self.parameters = set()
        if blocks and blocks[0][0].islower():
            blocks[0] = blocks[0][0].upper() + blocks[0][1:]
        if blocks and re.search(r"[\w`)]$", blocks[-1]) and not blocks[-1].endswith("```"):
            blocks[-1] += "."
        return "\n\n".join(blocks)

    # Pages.

    def values(self, entry):
        """A list: what an enumeration can be."""
        lines = []
        for value in entry.xml.findall("enumvalue"):
            words = " ".join(b for tag in ("briefdescription", "detaileddescription") for b in self.block(value.find(tag), entry.header, entry.name))
            lines.append(f"-   `{flat(value.find('name'))}`{': ' + words if words else ''}")
        return "\n".join(lines)

    def one(self, entry, scope=None):
        out = f"```cpp\n{signature(entry)}\n```\n\n{self.text(entry, scope)}"
        if entry.kind == "enum":
            out += "\n\n" + self.values(entry)
        return out

    def group(self, entries, level, scope):
        """Members in the order of the source; all that have one name under one heading."""
        out, done = [], set()
        for entry in entries:
            if entry.anchor in done:
                continue
            done.add(entry.anchor)
            same = [e for e in entries if e.anchor == entry.anchor]
            title = entry.name.rsplit("::", 1)[-1] if scope else entry.name
            out.append(f"{'#' * level} `{title}` {{ #{entry.anchor} }}")
            out += [self.one(e, scope) for e in same]
        return out

    def page(self, header):
        room, noun = header.split("/")[1:] if header.count("/") == 2 else ("", header.split("/")[1])
        noun = noun.removesuffix(".hpp")
        out = [f"# {noun}", f"`#include \"{header}\"`" + (f", room [{room}](index.md)" if room else "")]
        entries = self.pages[header]
        free = [e for e in entries if e.kind not in CLASSES]
        done = set()
        for entry in entries:
            if entry.kind in CLASSES:
                title = tidy(flat(entry.xml.find("compoundname"))) if "<" in flat(entry.xml.find("compoundname")) else entry.name
                out += [f"## {entry.kind} `{title}` {{ #{entry.anchor} }}", self.one(entry, entry.name)]
                out += self.group(entry.members, 3, entry.name)
            elif entry.anchor not in done:
                done.add(entry.anchor)
                out += self.group([e for e in free if e.anchor == entry.anchor], 2, "")
        return "\n\n".join(out) + "\n"

    def first_sentence(self, header):
        """Of what the header is named after, else of its first entry."""
        noun = header.rsplit("/", 1)[-1].removesuffix(".hpp")
        entries = sorted(self.pages[header], key=lambda e: e.name.rsplit("::", 1)[-1] != noun)
        text = re.sub(r"\[(`+[^`]*`+)\]\([^)]*\)", r"\1", self.text(entries[0]).split("\n\n")[0])
        sentence = re.match(r"(?:`[^`]*`|[^`])*?\.(?=\s|$)", text)
        return (sentence.group(0) if sentence else text).rstrip(".").replace("|", "\\|")

    def room_words(self, room):
        """The comment at the head of the room's umbrella."""
        lines = []
        for line in (self.root / f"include/dtask/{room}.hpp").read_text().splitlines():
            if m := re.match(r"///\s?(.*)", line):
                lines.append(m[1])
            elif lines:
                break
        return " ".join(lines)

    def write(self, out):
        """Writes the pages and gives the navigation: [(room, [(noun, page)])]."""
        out.mkdir(parents=True, exist_ok=True)
        nav, index = [], ["# Reference", "Made from the comments of the public headers; a page per header. "
                          "`detail` and the rooms " + ", ".join(f"`{r}`" for r in INTERNAL) + " are internal and left out: any release may change them.",
                          "`#include <dtask/dtask.hpp>` brings base, task, job, runtime, process and node; the other rooms are included by name, "
                          "as `<dtask/cuda.hpp>`. Everything stands in `namespace dtask`."]
        for room in ROOMS:
            headers = sorted(h for h in self.pages if h.startswith(f"dtask/{room}/"))
            if not headers:
                raise Failure(f"the room {room} has no documented header")
            (out / room).mkdir(exist_ok=True)
            lines = [f"# {room}", self.room_words(room), f"`#include <dtask/{room}.hpp>`",
                     "\n".join(f"-   [{pathlib.PurePath(h).stem}]({pathlib.PurePath(h).stem}.md): {self.first_sentence(h)}" for h in headers)]
            (out / f"{room}/index.md").write_text("\n\n".join(lines) + "\n")
            index.append(f"## [{room}]({room}/index.md)\n\n{self.room_words(room)}\n\n" +
                         " · ".join(f"[{pathlib.PurePath(h).stem}]({room}/{pathlib.PurePath(h).stem}.md)" for h in headers))
            pages = []
            for header in headers:
                page = f"{room}/{pathlib.PurePath(header).stem}.md"
                (out / page).write_text(self.page(header))
                pages.append((pathlib.PurePath(header).stem, page))
            nav.append((room, pages))
        left = [h for h in self.pages if not any(h.startswith(f"dtask/{r}/") for r in ROOMS)]
        if left:
            raise Failure(f"in no room: {left}")
        (out / "index.md").write_text("\n\n".join(index) + "\n")
        return nav


def anchor(name):
    spelt = {"<=>": "compare", "==": "equal", "!=": "unequal", "()": "call", "[]": "subscript", "->": "arrow", "*": "star", "=": "assign", "<": "less",
             ">": "greater", "|": "or", "&": "and", "+": "plus", "-": "minus"}
    if "operator" in name:
        head, sign = name.split("operator", 1)
        sign = sign.strip()
        for text, word in spelt.items():
            sign = sign.replace(text, word)
        name = f"{head}operator-{sign}"
    return re.sub(r"[^\w-]+", "-", name.replace("~", "no-")).strip("-")


def page_of(header):
    """The page of a header, from reference/."""
    return f"{pathlib.PurePath(header).parent.name}/{pathlib.PurePath(header).stem}.md"


def escape(text):
    return re.sub(r"([\\`*_{}\[\]<>#])", r"\\\1", text) if re.search(r"[\\`*_{}\[\]<>#]", text) else text


def make(root, out):
    """The reference of the headers of root in out; (navigation, Doxygen's warnings)."""
    with tempfile.TemporaryDirectory() as work:
        warnings = doxygen(root, pathlib.Path(work))
        return Reference(root, pathlib.Path(work) / "xml").write(out), warnings
