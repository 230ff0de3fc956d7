"""Harmless changes of the lookup's text, as kernel patches bring them: each builds and agrees, or says what to add."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.messages import Found
from skdiff.campaign.run import Run
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import files
from skdiff.engines import random_engine
from skdiff.findings.replay_cases import verdict
from skdiff.kernel.build import Build, build
from skdiff.kernel.index import definitions
from skdiff.kernel.options import STUBS
from skdiff.kernel.source import Tree
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests.helpers import mostly_long
from tests.patched import copied_tree

LOOKUP = "net/ipv4/inet_hashtables.c"
UDP = "net/ipv4/udp.c"
HEADER = "include/net/inet_hashtables.h"
REUSEPORT = "net/core/sock_reuseport.c"
CASES = 2000


@dataclass(frozen=True)
class Change:
    """Each match of a regular expression in a file is replaced; there must be one. ^ is the start of a line; {1} is
    what the first group has matched.
    """

    file: str
    pattern: str
    new: str

    def written(self, match: re.Match[str]) -> str:
        return re.sub(r"\{(\d)\}", lambda number: match[int(number[1])], self.new)


@dataclass(frozen=True)
class Refactoring:
    """Changes of a tree and files that are new in it; `moved` functions go from their file to another one. `stubs` are
    the lines that skdiff asks for, without which it has no verdict.
    """

    name: str
    changes: tuple[Change, ...] = ()
    new: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[tuple[str, str, str], ...] = ()
    stubs: str = ""

    def __str__(self) -> str:
        return self.name


def scored(name: str, statements: str, *changes: Change, before: str = "", **more) -> Refactoring:
    """Statements at the beginning of compute_score(), and definitions before it."""
    own = [Change(LOOKUP, r"^\tint score = -1;\n", f"\tint score = -1;\n\n\t{statements}\n")]
    if before:
        own.append(
            Change(LOOKUP, r"^static inline int compute_score\(", f"{before}\n\nstatic inline int compute_score(")
        )
    return Refactoring(name, (*own, *changes), **more)


def include(header: str, file: str = LOOKUP) -> Change:
    return Change(file, r"^#include <net/sock_reuseport\.h>\n", f"#include <net/sock_reuseport.h>\n#include {header}\n")


def renamed(name: str) -> Refactoring:
    """A function with another name, in all files that name it."""
    return Refactoring(f"renamed-{name}", tuple(Change(f, rf"\b{name}\b", f"{name}_anew") for f in RENAMED[name]))


RENAMED = {
    "compute_score": [LOOKUP],
    "inet_lhash2_lookup": [LOOKUP],
    "inet_lookup_run_sk_lookup": [LOOKUP, HEADER, UDP],
    "inet_lookup_reuseport": [LOOKUP, HEADER, UDP],
    "__inet_lookup_listener": [LOOKUP, HEADER],
    "__inet_lookup_established": [LOOKUP, HEADER],
    "inet_match": [LOOKUP, HEADER, UDP],
    "inet_steal_sock": [HEADER, UDP],
    "reuseport_select_sock_by_hash": [REUSEPORT],
    "run_bpf_filter": [REUSEPORT],
    "inet_bound_dev_eq": ["include/net/inet_sock.h", "include/net/udp.h"],
}
FAMILY = r"^\t\tif \(sk->sk_family == PF_INET\)\n\t\t\tscore\+\+;\n"
DEVICE = r"sk->sk_bound_dev_if \? 2 : 1;"
FOREVER = r"^(begin:\n)((?:.*\n)*?)(\tif \(get_nulls_value\(node\) != slot\)\n\t\tgoto begin;\n)"

REFACTORINGS = [
    # --- names from elsewhere ---
    scored(
        "helper-in-a-new-header",
        "score_begins(sk);",
        include("<net/fresh.h>"),
        new={
            "include/net/fresh.h": "static inline void score_begins(const struct sock *sk) { FRESH_CHECK(sk); }\n"
            "#define FRESH_CHECK(sk) ((void)READ_ONCE((sk)->sk_family))\n"
        },
    ),
    Refactoring(
        "function-moved-to-a-new-header",
        (include("<net/fresh.h>"),),
        moved=(("inet_match", HEADER, "include/net/fresh.h"),),
    ),
    Refactoring(
        "macro-in-a-new-header",
        (include("<net/fresh.h>"), Change(LOOKUP, DEVICE, "sk->sk_bound_dev_if ? SCORE_OF_A_DEVICE : 1;")),
        new={"include/net/fresh.h": "#ifndef FRESH_H\n#define FRESH_H\n#define SCORE_OF_A_DEVICE 2\n#endif\n"},
    ),
    scored(
        "helper-two-includes-away",
        "score_begins(sk);",
        include('"fresh.h"'),
        new={
            "net/ipv4/fresh.h": "#include <linux/fresher.h>\n",
            "include/uapi/linux/fresher.h": "#define score_begins(sk) barrier()\n",
        },
    ),
    scored(
        "function-in-another-c-file",
        "score_begins(sk);",
        include("<net/fresh.h>"),
        new={
            "include/net/fresh.h": "void score_begins(const struct sock *sk);\n",
            "net/core/fresh.c": "#include <net/fresh.h>\nvoid score_begins(const struct sock *sk) { barrier(); }\n",
        },
    ),
    scored(
        "struct-in-a-new-header",
        "struct score_parts parts = { .family = 0 }; (void)parts.family;",
        include("<net/fresh.h>"),
        new={"include/net/fresh.h": "struct score_parts { int family; };\n"},
    ),
    Refactoring(
        "enum-and-typedef-in-a-new-header",
        (
            include("<net/fresh.h>"),
            Change(LOOKUP, r"^\tint score = -1;", "\tscore_t score = -1;"),
            Change(LOOKUP, DEVICE, "sk->sk_bound_dev_if ? SCORE_DEVICE : SCORE_ANY;"),
        ),
        new={"include/net/fresh.h": "typedef int score_t;\nenum score { SCORE_ANY = 1, SCORE_DEVICE };\n"},
    ),
    scored(
        "name-of-a-new-header-in-a-branch",
        "score_begins(sk);",
        include("<net/fresh.h>"),
        before="#ifdef CONFIG_NET_NS\nstatic void score_begins(struct sock *sk) { fresh(sk); }\n#else\n"
        "static void score_begins(struct sock *sk) { }\n#endif",
        new={"include/net/fresh.h": "static inline void fresh(struct sock *sk) { barrier(); }\n"},
    ),
    # --- what userspace has not ---
    scored(
        "static-branch-likely",
        "if (static_branch_likely(&score_key))\n\t\tbarrier();",
        before="DEFINE_STATIC_KEY_TRUE(score_key);",
    ),
    scored(
        "static-branch-unlikely",
        "if (static_branch_unlikely(&score_key))\n\t\treturn -1;",
        before="static DEFINE_STATIC_KEY_FALSE(score_key);",
    ),
    scored("lockdep-assert", "lockdep_assert_in_rcu_read_lock();"),
    scored("rcu-lockdep-warn", 'RCU_LOCKDEP_WARN(!rcu_read_lock_held() && !lockdep_is_held(&score_lock), "text");'),
    Refactoring(
        "rcu-dereference-check",
        (
            Change(
                REUSEPORT,
                r"^\treuse = rcu_dereference\(sk->sk_reuseport_cb\);\n\n\t/\* if memory",
                "\treuse = rcu_dereference_check(sk->sk_reuseport_cb, lockdep_is_held(&no_such));\n\n\t/* if memory",
            ),
        ),
    ),
    scored("prefetch", "prefetch(&sk->sk_refcnt);"),
    scored("tracepoint", "if (trace_inet_score_enabled())\n\t\ttrace_inet_score(sk, no_such_name(net));"),
    scored("per-cpu-counter", "int hits = 0;\n\n\tthis_cpu_inc(hits);\n\t__this_cpu_add(hits, 2);"),
    scored("snmp-counter", "NET_INC_STATS(net, LINUX_MIB_NO_SUCH);\n\t__TCP_ADD_STATS(net, TCP_MIB_NO_SUCH, 2);"),
    scored("guard", "guard(rcu)();"),
    Refactoring(
        "guard-in-the-place-of-a-section",
        (
            Change(
                REUSEPORT,
                r"^\trcu_read_lock\(\);\n\treuse = rcu_deref(.*)\n\n\t/\* if",
                "\tguard(rcu)();\n\treuse = rcu_deref{1}\n\n\t/* if",
            ),
            Change(REUSEPORT, r"^out:\n\trcu_read_unlock\(\);\n\treturn sk2;", "out:\n\treturn sk2;"),
        ),
    ),
    scored("scoped-guard", "scoped_guard(rcu) {\n\t\tif (sk->sk_num != hnum)\n\t\t\treturn -1;\n\t}"),
    scored(
        "spin-lock", "spinlock_t lock;\n\n\tspin_lock_init(&lock);\n\tspin_lock_bh(&lock);\n\tspin_unlock_bh(&lock);"
    ),
    scored("messages", 'net_dbg_ratelimited("%s: %d\\n", __func__, no_such_name);\n\tpr_debug_once("x");'),
    Refactoring("data-race", (Change(LOOKUP, DEVICE, "data_race(sk->sk_bound_dev_if) ? 2 : 1;"),)),
    scored("kcsan", "ASSERT_EXCLUSIVE_WRITER(sk->sk_family);"),
    scored("sleep-and-bottom-halves", "might_sleep();\n\tlocal_bh_disable();\n\tcond_resched();\n\tlocal_bh_enable();"),
    scored("barriers", "smp_mb();\n\t(void)smp_load_acquire(&sk->sk_hash);\n\tOPTIMIZER_HIDE_VAR(score);"),
    scored("min-and-clamp", "score = min_t(int, score, clamp(score, -1, 2));\n\tscore = max(score, -1);"),
    scored("warnings", 'WARN_ONCE(!sk, "%d\\n", dif);\n\tDEBUG_NET_WARN_ONCE(!sk, "x");\n\tBUILD_BUG_ON_MSG(1, "x");'),
    scored("cmpxchg", "int old = 1;\n\n\t(void)cmpxchg(&old, 1, 2);\n\t(void)xchg(&old, 3);"),
    # --- the text as it is, in other words ---
    *map(renamed, RENAMED),
    Refactoring(
        "one-argument-more",
        (
            Change(
                LOOKUP,
                r"const int dif, const int sdif\)\n\{\n\tint score",
                "const int dif, const int sdif, u8 more)\n{\n\tint score",
            ),
            Change(LOOKUP, r"= compute_score\((.*), sdif\)", "= compute_score({1}, sdif, 0)"),
        ),
    ),
    Refactoring(
        "extracted-helper",
        (
            Change(LOOKUP, FAMILY, "\t\tscore += score_of_family(sk);\n"),
            Change(
                LOOKUP,
                r"^static inline int compute_score\(",
                "static noinline int score_of_family(const struct sock *sk)\n{\n"
                "\treturn sk->sk_family == PF_INET;\n}\n\nstatic inline int compute_score(",
            ),
        ),
    ),
    Refactoring(
        "inverted-if",
        (
            Change(
                LOOKUP,
                r"^\t\tif \(sk->sk_hash != hash\)\n\t\t\tcontinue;\n\t\tif \(likely\(inet_match",
                "\t\tif (sk->sk_hash == hash && likely(inet_match",
            ),
        ),
    ),
    Refactoring(
        "goto-to-loop", (Change(LOOKUP, FOREVER, "begin:\n\tdo {\n{2}\t} while (get_nulls_value(node) != slot);\n"),)
    ),
    scored("local-struct", "struct { int family; } parts = { .family = 0 };\n\n\tscore += parts.family;"),
    scored("local-enum", "enum { NO_SCORE = -1 };\n\n\tscore = NO_SCORE;"),
    scored("typedef", "score_t other = score;\n\n\tscore = other;", before="typedef int score_t;"),
    scored("const", "const struct sock *const same = sk;\n\n\t(void)same->sk_family;"),
    scored("inline-assembly", 'asm volatile("" : "+r"(score) : : "memory");'),
    scored(
        "cleanup",
        "int open __cleanup(score_ends) = 1;",
        before="static void score_ends(int *open) { *open = 0; }",
    ),
    scored(
        "free",
        "const struct sock *held __free(score) = sk;",
        before="DEFINE_FREE(score, const struct sock *, if (_T) barrier())",
    ),
    scored("generic", "score = _Generic(score, int: score, default: 0);"),
    scored("statement-expression", "score = ({ int same__ = score; same__; });"),
    Refactoring(
        "read-once", (Change(LOOKUP, r"\(sk->sk_family == PF_INET\)", "(READ_ONCE(sk->sk_family) == PF_INET)"),)
    ),
    scored(
        "maybe-unused",
        "int __maybe_unused nothing;\n\n\tswitch (dif) {\n\tcase 1:\n\t\tfallthrough;\n\tdefault:\n\t\tbreak;\n\t}",
    ),
    # --- with lines to add ---
    scored("unknown-function", "no_such_function(sk, 1);", stubs="#define no_such_function(...) ((void)0)\n"),
    scored(
        "unknown-names",
        "no_such_t other = NO_SUCH_NUMBER;\n\n\tother = no_such_value(sk);",
        stubs="#define NO_SUCH_NUMBER 0\ntypedef int no_such_t;\n#define no_such_value(...) 0\n",
    ),
]


def refactored(tree: Tree, folder: Path, how: Refactoring) -> Tree:
    """A copy of the files that the extractor reads, with the changes."""
    copied_tree(tree.path, folder)
    for name, text in how.new.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for function, source, target in how.moved:
        path = folder / source
        [found] = [d for d in definitions(path.read_bytes(), source) if (d.kind, d.name) == ("function", function)]
        path.write_bytes(path.read_bytes().replace(found.text, b""))
        (folder / target).write_bytes(found.text + b"\n")
    for change in how.changes:
        path = folder / change.file
        text, count = re.subn(change.pattern, change.written, path.read_text(), flags=re.MULTILINE)
        assert count, change
        path.write_text(text)
    return replace(tree, path=folder, origin=how.name)


def built(tree: Tree, how: Refactoring, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The build; one that needs stubs says so first, in the words that make it."""
    if how.stubs:
        with pytest.raises(CannotRun) as caught:
            build(tree)
        said = str(caught.value)
        assert [line.strip() for line in said.splitlines() if line.startswith("    ")] == how.stubs.splitlines()
        stubs = folder / "mine.h"
        stubs.write_text(how.stubs)
        monkeypatch.setenv(STUBS, str(stubs))
        return build(tree, stubs=(stubs,))
    return build(tree)


@pytest.mark.parametrize("how", mostly_long(REFACTORINGS, every=40), ids=str)
def test_a_harmless_change_builds_and_agrees(how, kernel_tree, tmp_path, monkeypatch):
    tree = refactored(kernel_tree, tmp_path / "tree", how)
    made = built(tree, how, tmp_path, monkeypatch)
    oracles, told = [Reference(made), Model()], []
    run = Run(
        lambda: oracles,
        Origin(tree.version, "", "random", 1),
        tmp_path / "findings",
        told.append,
        cases=CASES,
        first=True,
    )
    random_engine.drive(run)
    assert [message for message in told if isinstance(message, Found)] == []
    for path in files([]):
        assert verdict(load(path), *oracles)[:2] == ("agreed", []), path


@pytest.mark.long
def test_the_command_line_takes_stubs_and_repeats_them(kernel_tree, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(STUBS, raising=False)
    how = next(how for how in REFACTORINGS if how.name == "unknown-function")
    tree = refactored(kernel_tree, tmp_path / "tree", how)
    stubs = tmp_path / "mine.h"
    stubs.write_text(how.stubs.replace("((void)0)", "WARN_ON(1)"))
    fuzz = ["fuzz", "--kernel", str(tree.path), "--engine", "random", "--cases", "300", "--seed", "1"]
    assert cli.main(fuzz) == 2
    assert "    #define no_such_function(...) ((void)0)\n" in capsys.readouterr().err
    assert cli.main([*fuzz, "--stub", str(stubs), "--findings", str(tmp_path / "findings")]) == 1
    assert f"--stub {stubs}" in capsys.readouterr().out.replace("\n", " ")
    assert STUBS not in os.environ
    assert cli.main([*fuzz, "--stub", str(tmp_path / "none.h")]) == 2


def test_there_are_forty_of_them():
    assert len(REFACTORINGS) >= 40
    assert len({how.name for how in REFACTORINGS}) == len(REFACTORINGS)
