"""What the compiler cannot forbid: rules of CONTRIBUTING.md on the text of the sources.

Each rule comes with an example that breaks it and one that keeps it, so that a rule that catches nothing fails.

Host code reads device tensors only through to_host and to_device. The rule is a heuristic: in a file outside the
kernels, a name declared as Vector, Matrix, TokenIds or MutableTokenIds (const forms too) must not be called like
`name(i, j)`, dereferenced through data(), or handed to a copying function of the standard library. A pointer that
makes another View or goes to MPI is fine.
"""
import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("STRAIT_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
MODULES = ["core", "kernels", "io", "data", "model", "optim", "codec", "pipeline", "app"]
TREES = ["include", "src", "tests", "perf"]

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)


def without_comments(text, keep_strings=True):
    """Comments, and strings if asked, become spaces; lines stay where they are."""
    def blank(match):
        token = match.group()
        if token[0] != "/" and keep_strings:
            return token
        quotes = token[0] if token[0] != "/" else " "
        return quotes + re.sub(r"[^\n]", " ", token[1:-1]) + quotes
    return COMMENT_OR_STRING.sub(blank, text)


def module_of(path):
    """core, kernels, ... for a file of the product; None for tests, perf and main.cpp."""
    parts = path.split("/")
    if parts[:2] == ["include", "strait"]:
        return parts[2]
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def search(pattern, text):
    return [(match.start(), match.group().strip()) for match in re.finditer(pattern, text)]


def kokkos_version(path, text):
    return [] if path == "include/strait/core/kokkos.hpp" else search(r"\bKOKKOS_VERSION\w*", text)


def backend_macros(path, text):
    allowed = module_of(path) in ("core", "kernels")
    return [] if allowed else search(r"#\s*(?:el)?if.*\b(?:KOKKOS_ENABLE_|KOKKOS_ARCH_|__CUDA)\w*", text)


def silent_fence(path, text):
    return [] if path == "include/strait/core/kokkos.hpp" else search(r"(?:\.|->|Kokkos::)fence\s*\(", text)


def first_arguments(text, begin, count):
    """The first `count` arguments of the call whose '(' or '{' is at `begin`."""
    arguments, depth, start = [], 0, begin + 1
    for position in range(begin, len(text)):
        character = text[position]
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 or (depth == 1 and character == ","):
            arguments.append(text[start:position].strip())
            start = position + 1
        if depth == 0 or len(arguments) == count:
            break
    return arguments


def calls(pattern, text, count):
    """(position, first arguments) of every call of what `pattern` matches; the pattern ends with the '('."""
    return [(match.start(), first_arguments(text, match.end() - 1, count)) for match in re.finditer(pattern, text)]


INSTANCE = re.compile(r"(?:\w+(?:\.|->))?exec\w*$|exec\w*\(\)$")


def policy_without_instance(path, text):
    policy = r"\b(?:Range|Team|MDRange)Policy(?:<[^;(){}]*>)?(?:\s+\w+)?\s*[({]"
    return [(at, f"Policy({arguments[0]}") for at, arguments in calls(policy, text, 1)
            if not INSTANCE.match(arguments[0])]


def launch_without_policy(path, text):
    found = []
    for at, arguments in calls(r"\bparallel_(?:for|reduce|scan)\s*\(", text, 2):
        policy = arguments[1] if arguments[0].startswith('"') or "label" in arguments[0] else arguments[0]
        if not re.search(r"[Pp]olicy|TeamThread|ThreadVector|TeamVector", policy):
            found.append((at, f"parallel_ over {policy}"))
    return found


def copy_without_instance(path, text):
    return [(at, f"deep_copy({arguments[0]}") for at, arguments in calls(r"\bdeep_copy\s*\(", text, 1)
            if not INSTANCE.match(arguments[0])]


def foreign_label(path, text):
    return search(r"\bparallel_(?:for|reduce|scan)\s*\(\s*\"(?!strait::\w+::)[^\"]*\"", text)


# A declaration of a tensor; a '(' after the name must begin a constructor's arguments, not parameters.
DEVICE_TENSOR = re.compile(
    r"(?<![\w:])(?:strait::)?(?:(?:Const)?(?:Vector|Matrix)<[\w: ]+>|(?:Mutable)?TokenIds)\s*&?\s*(\w+)\s*"
    r"(?:[,;){=:]|\((?!\s*(?:const |std::|int |bool |double |[A-Z]\w*[ &<]|\))))")


def without_kernels(code):
    """Bodies of KOKKOS_LAMBDA and KOKKOS_FUNCTION become spaces."""
    for match in list(re.finditer(r"\bKOKKOS_(?:LAMBDA|CLASS_LAMBDA|(?:INLINE_|FORCEINLINE_)?FUNCTION)\b[^{;]*\{", code)):
        depth, end = 1, match.end()
        while depth > 0 and end < len(code):
            depth += (code[end] == "{") - (code[end] == "}")
            end += 1
        code = code[:match.end()] + re.sub(r"[^\n]", " ", code[match.end():end]) + code[end:]
    return code


def host_access(path, text):
    if module_of(path) in ("kernels", "core") or path.startswith("tests/quality/"):
        return []
    code = without_kernels(without_comments(text, keep_strings=False))
    mirrors = set(re.findall(r"\b(\w+)\s*=\s*(?:strait::)?to_host\b|\bHost\w*&\s+(\w+)", code))
    mirrors = {name for pair in mirrors for name in pair}
    mirrors |= set(re.findall(r">\s+(\w+)\((?:const |int )", code))  # a function of the same name
    found = []
    for name in {match.group(1) for match in DEVICE_TENSOR.finditer(code)} - mirrors:
        data = rf"\b{name}\.data\(\)"
        copies = rf"\b(?:memcpy|memmove|memset|copy|copy_n|fill|fill_n|accumulate)\([^;]*{data}"
        found += search(rf"{data}\s*\[|\*\s*{data}|{copies}", code)
        for match in re.finditer(rf"(?<![\w.>:]){name}\s*\(\s*[\w+*/ -]+[,)]", code):
            before = code[:match.start()].rstrip()[-1:]
            # After a type it is a declaration, after ':' or ')' a member's initialiser.
            if not re.search(r"[>&:\w]", before) or re.search(r"\breturn$", code[:match.start()].rstrip()):
                found.append((match.start(), match.group()))
    return found


def upward_include(path, text):
    own = module_of(path)
    if own is None:
        return []
    return [(match.start(), match.group()) for match in re.finditer(r'#include "strait/(\w+)/[^"]*"', text)
            if match.group(1) not in MODULES[:MODULES.index(own) + 1]]


def machine_path(path, text):
    return search(r"(?<![\w.$}/])/(?:work|home|root|tmp|opt|scratch|mnt)/[\w.-]+", text)


def unfinished(path, text):
    return search(r"\b(?:TODO|FIXME|XXX|HACK)\b|\bissue #?\d+|\b(?:work in progress|not implemented yet)\b", text)


# name: (rule, also in comments, example that breaks it, example that keeps it); examples are (path, text).
MODEL, KERNEL = "src/model/example.cpp", "src/kernels/example.cpp"
RULES = {
    "KOKKOS_VERSION only in core/kokkos.hpp": (
        kokkos_version, False, (KERNEL, "#if KOKKOS_VERSION > 40000"), (KERNEL, "// KOKKOS_VERSION")),
    "back-end macros only in core and kernels": (
        backend_macros, False, (MODEL, "#ifdef KOKKOS_ENABLE_CUDA"), (KERNEL, "#ifdef KOKKOS_ENABLE_CUDA")),
    "fences through strait::fence, with a label": (
        silent_fence, False, (KERNEL, "exec.fence();"), (KERNEL, 'fence(exec, "strait::x: y");')),
    "policies take the execution space instance": (
        policy_without_instance, False, (KERNEL, "RangePolicy(0, n)"), (KERNEL, "RangePolicy(exec, 0, n)")),
    "launches take a policy": (
        launch_without_policy, False, (KERNEL, 'parallel_for("strait::a::b", n, f)'),
        (KERNEL, 'parallel_for("strait::a::b", RangePolicy(exec, 0, n), f)')),
    "deep_copy takes the execution space instance": (
        copy_without_instance, False, (MODEL, "Kokkos::deep_copy(a, 0)"), (MODEL, "Kokkos::deep_copy(exec, a, 0)")),
    "kernel labels begin with strait::topic::": (
        foreign_label, False, (KERNEL, 'parallel_for("norm", p, f)'), (KERNEL, 'parallel_for("strait::norm::x", p, f)')),
    "host code reads tensors through mirrors": (
        host_access, False, (MODEL, "Matrix<T> a(label, 2, 3);\nx = a(1, 2);"),
        (MODEL, "Matrix<T> a(label, 2, 3);\nauto h = to_host(exec, a);\nx = h(1, 2);")),
    "host code does not dereference data()": (
        host_access, False, (MODEL, "const Vector<T>& a;\nx = a.data()[1];"),
        (MODEL, "const Vector<T>& a;\nVector<T> b(a.data() + 1, n);")),
    "modules use only those above them": (
        upward_include, False, (MODEL, '#include "strait/optim/adamw.hpp"'), (MODEL, '#include "strait/io/hdf5.hpp"')),
    "no path of a machine": (
        machine_path, True, (MODEL, "// see " + "/home" + "/me/x"), (MODEL, "// see docs/home/x")),
    "nothing unfinished, no tracker numbers": (
        unfinished, True, (MODEL, "// TO" + "DO: x"), (MODEL, "// to do: x")),
}
TEXT_RULES = [machine_path, unfinished]  # for every text file of the project


def broken(rule, in_comments, path, text):
    code = text if in_comments else without_comments(text)
    return [f"{path}:{text[:start].count(chr(10)) + 1}: {what}" for start, what in rule(path, code)]


def sources():
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.[ch]pp")):
            yield str(path.relative_to(ROOT)), path.read_text()


def other_texts():
    suffixes = {".md", ".py", ".toml", ".cmake", ".txt", ".sh", ".json", ".yaml", ".in", ""}
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT)
        if name.parts[0] in (".git", "build", "output", "data") or not path.is_file():
            continue
        if path.suffix in suffixes and path != pathlib.Path(__file__).resolve():
            yield str(name), path.read_text(errors="replace")


class Sources(unittest.TestCase):
    def test_examples(self):
        for name, (rule, in_comments, breaks, keeps) in RULES.items():
            with self.subTest(name):
                self.assertTrue(broken(rule, in_comments, *breaks))
                self.assertFalse(broken(rule, in_comments, *keeps))

    def test_rules(self):
        files = list(sources())
        self.assertGreater(len(files), 100)
        for name, (rule, in_comments, _, _) in RULES.items():
            with self.subTest(name):
                found = [line for file in files for line in broken(rule, in_comments, *file)]
                self.assertFalse(found, f"{name}:\n" + "\n".join(found))

    def test_other_texts(self):
        found = [line for rule in TEXT_RULES for file in other_texts() for line in broken(rule, True, *file)]
        self.assertFalse(found, "\n".join(found))


if __name__ == "__main__":
    unittest.main()
