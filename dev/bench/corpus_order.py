"""Are the C and C++ documents of a corpus in an order that a compiler can follow?

    python dev/bench/corpus_order.py CORPUS --sources DIR...    counts violations, with examples; exit 1 above --at-most
    python dev/bench/corpus_order.py CORPUS --sources DIR... --moved    moves a function in every whole file behind its use: are they found?
    python dev/bench/corpus_order.py --check                    the checker's own cases: exit 1 if one comes out wrong

A violation is a name that a document declares at namespace scope and uses before that: a type in any place, or a function in a
call. The check is independent of the chunker: tree-sitter from the Python registry, and rules of its own for what is
declared where. What else may declare a name comes first: earlier declarations of any kind, parameters and locals, template
parameters, members of the class around, macros, and the project's headers that the document includes (found below the
sources by the ends of their paths, and followed). Bodies in a class see the whole class. In templates a call waits for its
arguments, so only calls without arguments that could depend on a parameter are judged. Text inside `#if 0` or inside what the
grammar cannot read is not judged.

Not covered: variables, and a type that must be complete where it is only declared (the compiler sees both: `wootz corpus audit`).
"""

import argparse
import json
import multiprocessing
import os
import re
import sys
from collections import defaultdict

import tree_sitter
import tree_sitter_c
import tree_sitter_cpp
from corpus_order_cases import CASES

LANGUAGES = {
    "c": tree_sitter.Language(tree_sitter_c.language()),
    "cpp": tree_sitter.Language(tree_sitter_cpp.language()),
}
PARSERS = {name: tree_sitter.Parser(language) for name, language in LANGUAGES.items()}
MEMBERS = {name: tree_sitter.Query(language, "(field_identifier) @member") for name, language in LANGUAGES.items()}

IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
MACRO = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)", re.M)
INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"\n]+)[>\"]", re.M)

# A macro between `class` and the name, which the grammar does not know; one in the definition of a macro stays.
EXPORT = re.compile(
    rb"\b((?:class|struct|union)[ \t\r\n]+)([A-Z][A-Z0-9_]{2,}(?:\([^()\n]*\))?)(?=[ \t\r\n]+[A-Za-z_]\w*\s*(?:final\b\s*)?[:;{])")

CLASSES = {"class_specifier", "struct_specifier", "union_specifier", "enum_specifier"}
# What stands around items without being a scope.
TRANSPARENT = {
    "translation_unit", "declaration_list", "linkage_specification", "preproc_ifdef", "preproc_if", "preproc_else",
    "preproc_elif", "preproc_elifdef", "template_declaration", "template_instantiation", "export_declaration",
}
WRAPPERS = {
    "pointer_declarator", "reference_declarator", "parenthesized_declarator", "attributed_declarator", "init_declarator",
    "array_declarator", "function_declarator",
}
LITERALS = {
    "number_literal", "string_literal", "char_literal", "true", "false", "null", "nullptr", "concatenated_string", "comment",
    "raw_string_literal",
}


def parse(source, language):
    """The tree of a text, read without the macros in the heads of its classes; places stay what they are."""
    plain = EXPORT.sub(lambda match: match.group(1) + b" " * len(match.group(2)), source)
    return PARSERS[language].parse(plain).root_node


def declared_name(node):
    """The node of the name that a declarator declares, and whether it declares a function."""
    function = False
    while node is not None and node.type in WRAPPERS:
        if node.type == "function_declarator":
            function = True
        elif node.type in ("pointer_declarator", "reference_declarator", "array_declarator") and function:
            # A function that returns a pointer has it outside; inside it is a pointer to a function.
            function = False
        inner = node.child_by_field_name("declarator")
        if inner is None:
            named = node.named_children
            inner = named[-1] if named else None
        node = inner
    return node, function


def declarators(node):
    return [child for index, child in enumerate(node.children) if node.field_name_for_child(index) == "declarator"]


def is_off(node):
    """Whether a branch of the preprocessor is `#if 0`."""
    condition = node.child_by_field_name("condition")
    return node.type == "preproc_if" and condition is not None and condition.text == b"0"


def declares(node, language):
    """Whether a class or enumeration is declared where it is named; in C++ `enum e x;` only uses `e`."""
    if node.type != "enum_specifier" or language == "c":
        return True
    fields = ("body", "base")
    return any(node.child_by_field_name(field) is not None for field in fields) or any(
        child.type in ("class", "struct") for child in node.children)


def macro_class(node):
    """`class EXPORT name {…}`, which the grammar takes for a function without parameters: the name, or nothing."""
    held = node.child_by_field_name("type")
    name = node.child_by_field_name("declarator")
    if node.type == "function_definition" and held is not None and held.type in CLASSES and name is not None:
        return name if name.type == "identifier" else None
    return None


def macro_call(node):
    """Whether a definition is a macro with a body after it, as in `TEST(suite, name) {…}`."""
    declarator = node.child_by_field_name("declarator")
    if node.child_by_field_name("type") is not None or declarator is None or declarator.type != "function_declarator":
        return False
    name = declarator.child_by_field_name("declarator")
    return name is not None and name.type == "identifier"


class Outline:
    """What a text declares at namespace scope, in order: scope, name, kind, and where the name stands."""

    def __init__(self, root, source, language):
        self.source = source
        self.language = language
        self.found = []
        self.loose = {}  # names that something unreadable may declare, and from where
        self.macros = {}
        self.static = set()  # names that hardly any header declares
        for match in MACRO.finditer(source):
            self.macros.setdefault(match.group(1), match.start(1))
        self.visit(root, ())

    def add(self, scope, node, kind, item=None):
        self.found.append((scope, node.text, kind, node.start_byte))
        if item is not None and any(child.type == "storage_class_specifier" and child.text == b"static" for child in item.children):
            self.static.add(node.text)

    def blur(self, node):
        for match in IDENTIFIER.finditer(self.source, node.start_byte, node.end_byte):
            self.loose.setdefault(match.group(0), match.start())

    def visit(self, root, scope):
        stack = [(root, scope)]
        while stack:
            node, scope = stack.pop()
            kind = node.type
            if kind in TRANSPARENT:
                stack.extend((child, scope) for child in reversed(node.named_children))
            elif kind == "namespace_definition":
                name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
                inline = any(child.type == "inline" for child in node.children)
                own = () if name is None or inline else tuple(name.text.replace(b" ", b"").split(b"::"))
                if body is not None:
                    stack.append((body, scope + own))
            elif kind in CLASSES:
                self.type(node, scope)
            elif kind in ("declaration", "function_definition", "type_definition"):
                self.declaration(node, scope)
            elif kind in ("alias_declaration", "concept_definition", "namespace_alias_definition"):
                name = node.child_by_field_name("name")
                if name is not None:
                    self.add(scope, name, "type")
            elif kind in ("using_declaration", "expression_statement", "ERROR", "preproc_call"):
                self.blur(node)

    def type(self, node, scope):
        name = node.child_by_field_name("name")
        if name is not None and name.type == "type_identifier" and declares(node, self.language):
            self.add(scope, name, "type")

    def declaration(self, node, scope):
        name = macro_class(node)
        if name is not None:
            self.add(scope, name, "type")
            return
        if node.type == "function_definition" and macro_call(node):
            self.blur(node.child_by_field_name("declarator"))
            return
        held = node.child_by_field_name("type")
        if held is not None and held.type in CLASSES:
            self.type(held, scope)
        if node.has_error:
            # A macro in front makes the grammar take the wrong word for the name.
            self.blur(node)
        for declarator in declarators(node):
            name, function = declared_name(declarator)
            if name is None:
                continue
            if node.type == "type_definition" and name.type in ("type_identifier", "primitive_type"):
                self.add(scope, name, "type")
            elif name.type in ("identifier", "type_identifier"):
                self.add(scope, name, "function" if function else "variable", node)


def argument_lists(node):
    """Template arguments in a name, outermost only."""
    stack = [node] if node is not None else []
    while stack:
        inner = stack.pop()
        if inner.type == "template_argument_list":
            yield inner
        else:
            stack.extend(inner.named_children)


class Headers:
    """Names that a project's headers may declare, each header read once."""

    def __init__(self):
        self.projects = {}
        self.own = {}

    def project(self, root):
        if root not in self.projects:
            by_name = defaultdict(list)
            for folder, folders, files in os.walk(root):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(files):
                    by_name[name].append(os.path.join(folder, name))
            self.projects[root] = by_name
        return self.projects[root]

    def find(self, root, folder, path):
        """Every file of the project that an include may mean; the one beside the includer decides."""
        beside = os.path.normpath(os.path.join(folder, path))
        if os.path.isfile(beside):
            return [beside]
        tail = "/" + path.lstrip("./")
        return [file for file in self.project(root)[os.path.basename(path)] if file.endswith(tail)]

    def names(self, file):
        """Names that one file may declare, those that it surely declares, its members and its includes."""
        if file not in self.own:
            try:
                with open(file, "rb") as opened:
                    source = opened.read()
            except OSError:
                source = b""
            tree = parse(source, "cpp")
            outline = Outline(tree, source, "cpp")
            sure = {name for _, name, _, _ in outline.found} | set(outline.macros)
            names = sure | set(outline.loose)
            if tree.has_error:
                # What it declares cannot be told, so anything in it may be.
                names.update(match.group(0) for match in IDENTIFIER.finditer(source))
            includes = [match.group(2).decode("utf-8", "replace") for match in INCLUDE.finditer(source)]
            self.own[file] = (names, sure, members(tree, "cpp"), includes)
        return self.own[file]

    def reached(self, root, folder, path):
        """Names (all, and the sure ones) and members of all that one include leads to, and whether it leads nowhere."""
        names, all_sure, all_members, seen = set(), set(), set(), set()
        stack = self.find(root, folder, path)
        lost = not stack
        while stack:
            file = stack.pop()
            if file in seen:
                continue
            seen.add(file)
            own, sure, own_members, includes = self.names(file)
            names |= own
            all_sure |= sure
            all_members |= own_members
            for include in includes:
                stack.extend(self.find(root, os.path.dirname(file), include))
        return names, all_sure, all_members, lost


def items(root):
    """Nodes at namespace scope that hold no others."""
    for child in root.named_children:
        if child.type in TRANSPARENT and child.type != "template_declaration" or child.type == "namespace_definition":
            yield from items(child)
        else:
            yield child


def error_places(root):
    """Where the grammar met what it cannot read."""
    places, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            places.append(node.start_byte)
        elif node.has_error:
            stack.extend(node.children)
    return places


def members(root, language):
    captured = tree_sitter.QueryCursor(MEMBERS[language]).captures(root)
    return {node.text for node in captured.get("member", [])}


class Walk:
    """Uses of candidate names in one document, in order, each with what surrounds it."""

    def __init__(self, document):
        self.document = document
        self.scopes = []  # names of functions, templates and classes around
        self.seen = set()
        self.violations = []
        self.unjudged = 0

    def declare(self, name):
        (self.scopes[-1] if self.scopes else self.seen).add(name)

    def bound(self, name):
        return name in self.seen or any(name in scope for scope in self.scopes)

    def visit(self, node, space, template=False, in_class=False):
        kind = node.type
        if kind in ("comment", "preproc_arg", "preproc_def", "preproc_function_def", "preproc_include", "ERROR") or is_off(node):
            return
        if kind == "namespace_definition":
            name = node.child_by_field_name("name")
            inline = any(child.type == "inline" for child in node.children)
            space = space + (() if name is None or inline else tuple(name.text.replace(b" ", b"").split(b"::")))
            body = node.child_by_field_name("body")
            if body is not None:
                self.children(body, space, template, in_class)
        elif kind == "template_declaration":
            self.within(set(), lambda: self.children(node, space, True, in_class))
        elif kind in CLASSES:
            self.class_specifier(node, space, template, in_class)
        elif kind == "function_definition":
            self.function(node, space, template, in_class)
        elif kind == "lambda_expression":
            template = template or b"auto" in node.text
            self.within(set(), lambda: self.children(node, space, template, in_class))
        elif kind in ("compound_statement", "for_statement", "for_range_loop", "if_statement", "while_statement", "catch_clause"):
            self.within(set(), lambda: self.children(node, space, template, in_class))
        elif kind == "call_expression":
            self.call(node, space, template, in_class)
        elif kind == "qualified_identifier":
            self.qualified(node, space, template, in_class)
        elif kind == "type_identifier":
            self.use(node, (), space, "type", in_class)
        else:
            self.other(node, kind, space, template, in_class)

    def children(self, node, space, template, in_class):
        for child in node.named_children:
            self.visit(child, space, template, in_class)

    def within(self, names, visit):
        self.scopes.append(names)
        visit()
        self.scopes.pop()

    def other(self, node, kind, space, template, in_class):
        if kind in ("type_parameter_declaration", "variadic_type_parameter_declaration"):
            for child in node.named_children:
                self.declare(child.text)
        elif kind in ("optional_type_parameter_declaration", "alias_declaration", "concept_definition", "namespace_alias_definition"):
            name = node.child_by_field_name("name")
            for child in node.named_children:
                if name is None or child.start_byte != name.start_byte:
                    self.visit(child, space, template, in_class)
            if name is not None:
                self.declare(name.text)
        elif kind == "type_definition":
            names = [declared_name(child)[0] for child in declarators(node)]
            places = {name.start_byte for name in names if name is not None}
            self.around(node, places, space, template, in_class)
            for name in names:
                if name is not None:
                    self.declare(name.text)
        elif kind in ("using_declaration", "friend_declaration"):
            # Both make names known to later look-ups, the second to those by argument.
            self.seen.update(match.group(0) for match in IDENTIFIER.finditer(node.text))
        elif kind in ("declaration", "parameter_declaration", "optional_parameter_declaration", "field_declaration",
                      "variadic_parameter_declaration", "condition_clause"):
            for child in declarators(node):
                name, _ = declared_name(child)
                if name is not None and name.type in ("identifier", "field_identifier"):
                    self.declare(name.text)
            self.children(node, space, template, in_class)
        else:
            if kind == "expression_statement" and not self.scopes:
                self.seen.update(match.group(0) for match in IDENTIFIER.finditer(node.text))
            self.children(node, space, template, in_class)

    def around(self, node, places, space, template, in_class):
        """Visits what is below a node but for the names that it declares."""
        for child in node.named_children:
            if child.start_byte in places and child.end_byte - child.start_byte < 200 and not child.named_children:
                continue
            if child.type in WRAPPERS:
                self.around(child, places, space, template, in_class)
            else:
                self.visit(child, space, template, in_class)

    def class_specifier(self, node, space, template, in_class):
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and name.type == "type_identifier":
            if declares(node, self.document.language):
                self.seen.add(name.text)
            else:
                self.use(name, (), space, "type", in_class)
        elif name is not None:
            self.visit(name, space, template, in_class)
        for child in node.named_children:
            if name is not None and child.start_byte == name.start_byte:
                continue
            if body is not None and child.start_byte == body.start_byte:
                if node.type == "enum_specifier":
                    continue
                # A body sees the whole class.
                own = {match.group(0) for match in IDENTIFIER.finditer(b" ".join(member_names(body)))}
                self.within(own, lambda: self.children(body, space, template, True))
            else:
                self.visit(child, space, template, in_class)

    def function(self, node, space, template, in_class):
        if macro_class(node) is not None:
            # Nothing of such a class is read as what it is.
            names = {match.group(0) for match in IDENTIFIER.finditer(node.text)}
            self.seen.add(macro_class(node).text)
            self.within(names, lambda: self.children(node, space, template, True))
            return
        if macro_call(node) and not in_class:
            body = node.child_by_field_name("body")
            if body is not None:
                self.within(set(), lambda: self.children(body, space, template, True))
            return
        name = None
        for declarator in declarators(node):
            name, _ = declared_name(declarator)
        if name is not None and name.type == "qualified_identifier":
            in_class = True
        elif name is not None and not in_class:
            self.declare(name.text)
        head = b"".join(child.text for child in declarators(node))
        template = template or re.search(rb"\bauto\b", head.split(b"->")[0]) is not None
        self.within(set(), lambda: self.children(node, space, template, in_class))

    def call(self, node, space, template, in_class):
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        dependent = template and arguments is not None and any(
            child.type not in LITERALS for child in arguments.named_children)
        target = function
        if target is not None and target.type == "template_function":
            target = target.child_by_field_name("name")
        if target is not None and target.type == "identifier":
            if dependent:
                self.unjudged += target.text in self.document.late
            else:
                self.use(target, (), space, "call", in_class)
        elif target is not None and target.type == "qualified_identifier":
            self.qualified(target, space, template, in_class, call=not dependent)
        if function is not None and function.type not in ("identifier", "qualified_identifier"):
            self.visit(function, space, template, in_class)
        if arguments is not None:
            self.visit(arguments, space, template, in_class)

    def qualified(self, node, space, template, in_class, call=False):
        """`a::b::c`: each part is looked up in the one before."""
        parts = []
        while node is not None and node.type == "qualified_identifier":
            scope = node.child_by_field_name("scope")
            if scope is None:
                parts.append(b"")
            elif scope.type == "namespace_identifier":
                self.use(scope, tuple(parts), space, "type", in_class)
                parts.append(scope.text)
            else:
                # A template's member: what it is depends on the arguments.
                self.visit(scope, space, template, in_class)
                parts = None
                for arguments in argument_lists(node.child_by_field_name("name")):
                    self.visit(arguments, space, template, in_class)
                return
            node = node.child_by_field_name("name")
        if node is None:
            return
        if node.type == "type_identifier":
            self.use(node, tuple(parts), space, "type", in_class)
        elif node.type == "identifier" and call:
            self.use(node, tuple(parts), space, "call", in_class)
        elif node.type in ("template_type", "template_function"):
            name = node.child_by_field_name("name")
            if name is not None and (call or node.type == "template_type"):
                self.use(name, tuple(parts), space, "type" if node.type == "template_type" else "call", in_class)
            arguments = node.child_by_field_name("arguments")
            if arguments is not None:
                self.visit(arguments, space, template, in_class)

    def use(self, node, parts, space, kind, in_class):
        name, at = node.text, node.start_byte
        if name not in self.document.late or (not parts and self.bound(name)):
            return
        if in_class and not parts and name in self.document.members():
            self.unjudged += 1
            return
        place = self.document.declared_later(name, at, parts, space, kind)
        if place is None or self.document.known_elsewhere(name, at):
            return
        if not self.document.readable(name, at, place):
            self.unjudged += 1
        else:
            self.violations.append((kind, name.decode("utf-8", "replace"), at, place))


def member_names(body):
    """Names that a class body declares."""
    for member in body.named_children:
        held = member.child_by_field_name("type")
        for holder in (member, held):
            name = holder.child_by_field_name("name") if holder is not None else None
            if name is not None and (holder.type in CLASSES or holder.type in ("alias_declaration",)):
                yield name.text
        for declarator in declarators(member):
            name, _ = declared_name(declarator)
            if name is not None:
                yield name.text
        if member.type in TRANSPARENT or member.type == "field_declaration_list":
            yield from member_names(member)
        if held is not None and held.type == "enum_specifier":
            listed = held.child_by_field_name("body")
            for enumerator in listed.named_children if listed is not None else ():
                name = enumerator.child_by_field_name("name")
                if name is not None:
                    yield name.text


class Document:
    """One document, with what its headers know."""

    def __init__(self, record, headers, root):
        self.source = record["text"].encode()
        self.language = record["language"]
        self.headers, self.project = headers, root
        self.folder = os.path.dirname(os.path.join(root, record["path"])) if root else None
        self.root = parse(self.source, self.language)
        self.outline = Outline(self.root, self.source, self.language)
        self.errors = None
        first = {}
        for scope, name, kind, at in self.outline.found:
            first.setdefault(name, at)
        # Names that stand in the text before the first declaration: without them there is nothing to look for.
        early = set()
        for match in IDENTIFIER.finditer(self.source):
            if match.start() < first.get(match.group(0), -1):
                early.add(match.group(0))
        self.late = {name for _, name, kind, _ in self.outline.found if name in early and kind != "variable"}
        self.includes = None
        self.known_members = None

    def check(self):
        if not self.late:
            return [], 0
        walk = Walk(self)
        walk.visit(self.root, ())
        return walk.violations, walk.unjudged

    def include_list(self):
        """By include: its place, what it leads to, and whether it should lead somewhere but does not."""
        if self.includes is None:
            self.includes = []
            for match in INCLUDE.finditer(self.source) if self.project else ():
                path = match.group(2).decode("utf-8", "replace")
                names, sure, known, lost = self.headers.reached(self.project, self.folder, path)
                self.includes.append((match.start(), names, sure, known, lost and match.group(1) == b'"'))
        return self.includes

    def members(self):
        if self.known_members is None:
            self.known_members = members(self.root, self.language)
            for _, _, _, names, _ in self.include_list():
                self.known_members |= names
        return self.known_members

    def declared_later(self, name, at, parts, space, kind):
        """Where the name is first declared in a scope in which the use would find it, if all such places come later."""
        kinds = ("type",) if kind == "type" else ("type", "function")
        places = []
        for scope, other, declared, place in self.outline.found:
            if other != name:
                continue
            if parts[:1] == (b"",):
                visible = scope == parts[1:]
            else:
                visible = any(scope == space[:depth] + parts for depth in range(len(space) + 1))
            if place <= at and (visible or not parts):
                return None
            if visible and declared in kinds:
                places.append(place)
        return min(places) if places else None

    def known_elsewhere(self, name, at):
        """Whether a macro, a line that cannot be read, or a header may declare the name before its use."""
        for table in (self.outline.macros, self.outline.loose):
            if table.get(name, at) < at:
                return True
        own = name in self.outline.static
        return any(
            place < at and (name in sure or not own and (lost or name in names))
            for place, names, sure, _, lost in self.include_list())

    def readable(self, name, start, end):
        """Whether the grammar could read what decides: in C items that mention the name before its use, in C++ everything between
        its use and its declaration, whole items at both ends."""
        if self.language == "c":
            return not any(item.has_error and item.end_byte <= start and name in item.text for item in items(self.root))
        if self.errors is None:
            self.errors = error_places(self.root)
            # Members of a class that ends too early for the grammar come out as if they were outside of it.
            spilt = [item.start_byte for item in items(self.root)
                     if item.type == "labeled_statement" or macro_class(item) is not None and item.has_error]
            self.doubtful = min(spilt, default=len(self.source))
        if start >= self.doubtful:
            return False
        top = [(child.start_byte, child.end_byte) for child in items(self.root)]
        start = max((first for first, _ in top if first <= start), default=start)
        end = min((last for _, last in top if last >= end), default=end)
        return not any(start <= place < end for place in self.errors)


HEADERS = Headers()


def project_of(record, sources):
    for source in sources:
        root = os.path.normpath(os.path.join(source, record["repo"]))
        if os.path.isfile(os.path.join(root, record["path"])):
            return root
    return None


def judge(task):
    """One line of the documents file: None for other languages, else its kind and what is wrong with it."""
    line, sources = task
    record = json.loads(line)
    if record["language"] not in PARSERS:
        return None
    document = Document(record, HEADERS, project_of(record, sources))
    violations, unjudged = document.check()
    told = []
    for kind, name, at, place in violations:
        row = document.source.count(b"\n", 0, at) + 1
        later = document.source.count(b"\n", 0, place) + 1
        told.append({
            "project": record["repo"], "path": record["path"], "kind": record["kind"], "symbols": record["symbols"][-1:],
            "use": kind, "name": name, "line": row, "declared_line": later, "sha256": record["sha256"],
        })
    return record["kind"], record["repo"], told, unjudged


def lines(corpus):
    if os.path.isdir(corpus):
        with open(os.path.join(corpus, "manifest.json")) as manifest:
            corpus = os.path.join(corpus, json.load(manifest)["documents_file"])
    if not corpus.endswith(".jsonl"):
        sys.exit(f"corpus order: {corpus} is not JSON lines; build the corpus with --format jsonl")
    with open(corpus, "rb") as documents:
        yield from documents


def run(arguments):
    kinds = defaultdict(lambda: {"documents": 0, "violating": 0, "violations": 0, "unjudged": 0})
    examples = []
    tasks = ((line, arguments.sources) for line in lines(arguments.corpus))
    with multiprocessing.Pool(arguments.jobs) as pool:
        for result in pool.imap(judge, tasks, chunksize=16):
            if result is None:
                continue
            kind, _, told, unjudged = result
            for tally in (kinds[kind], kinds["all"]):
                tally["documents"] += 1
                tally["violating"] += bool(told)
                tally["violations"] += len(told)
                tally["unjudged"] += unjudged
            examples.extend(told[:1] if len(examples) < arguments.examples else [])
    every = kinds["all"]
    share = every["violating"] / every["documents"] if every["documents"] else 0.0
    report = {"documents": every["documents"], "violating": every["violating"], "share": share,
              "kinds": {name: dict(tally) for name, tally in sorted(kinds.items())}, "examples": examples}
    if arguments.json:
        print(json.dumps(report))
    else:
        for name, tally in report["kinds"].items():
            per = 1000 * tally["violating"] / max(tally["documents"], 1)
            print(f"{name:<10} {tally['documents']:>8} documents  {per:8.2f} per 1,000 with a violation"
                  f"  {tally['violations']} violations, {tally['unjudged']} uses not judged")
        for example in examples:
            print("{project}/{path} ({kind} {sha256:.12}): {use} of {name} in line {line}, declared in line {declared_line}".format(**example))
    if not every["documents"]:
        sys.exit("corpus order: no C or C++ documents")
    return 0 if share <= arguments.at_most else 1


def moved(record):
    """The document with one static function moved behind all that use it, where it has one that nothing else mentions."""
    source = record["text"].encode()
    root = parse(source, record["language"])
    functions = [item for item in items(root) if item.type == "function_definition" and not macro_call(item)]
    known = members(root, record["language"])
    for item in functions:
        name, _ = declared_name(item.child_by_field_name("declarator"))
        if name is None or name.type != "identifier" or b"static" not in source[item.start_byte:name.start_byte]:
            continue
        later = [other for other in functions if other.parent == item.parent and other.start_byte > item.end_byte]
        users = [other for other in later if name.text + b"(" in other.text]
        elsewhere = source.count(name.text) - item.text.count(name.text) - sum(other.text.count(name.text) for other in users)
        if not users or elsewhere or name.text in known:
            continue
        end = later[-1].end_byte
        parts = [source[:item.start_byte], source[item.end_byte:end], b"\n", item.text, source[end:]]
        return {**record, "text": b"".join(parts).decode()}
    return None


def find_moved(task):
    """Whether a moved function is found, by the sources; None where none can be moved."""
    line, sources = task
    record = json.loads(line)
    if record["language"] not in PARSERS or record["kind"] != "file":
        return None
    changed = moved(record)
    if changed is None:
        return None
    violations, _ = Document(changed, HEADERS, project_of(record, sources)).check()
    return bool(violations)


def run_moved(arguments):
    tasks = ((line, arguments.sources) for line in lines(arguments.corpus))
    with multiprocessing.Pool(arguments.jobs) as pool:
        results = [found for found in pool.imap(find_moved, tasks, chunksize=16) if found is not None]
    print(json.dumps({"moved": len(results), "found": sum(results)}))
    return 0


def check_cases():
    wrong = 0
    for text, language, expected in CASES:
        record = {"text": text, "language": language, "path": "a", "repo": "."}
        violations, _ = Document(record, HEADERS, None).check()
        found = sorted({name for _, name, _, _ in violations})
        if found != expected:
            wrong += 1
            print(f"expected {expected}, found {found} in\n{text}", file=sys.stderr)
    print(f"{len(CASES) - wrong} of {len(CASES)} cases")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", help="a corpus folder, or a file of documents (.jsonl)")
    parser.add_argument("--sources", nargs="+", default=[], help="folders that the corpus was built from")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--at-most", type=float, default=0.001, help="share of documents with a violation")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--moved", action="store_true", help="see how many functions that are moved behind their use are found")
    parser.add_argument("--check", action="store_true", help="run the checker's own cases")
    arguments = parser.parse_args()
    sys.setrecursionlimit(100_000)
    if arguments.check:
        return check_cases()
    if arguments.corpus is None:
        parser.error("name a corpus")
    return run_moved(arguments) if arguments.moved else run(arguments)


if __name__ == "__main__":
    sys.exit(main())
