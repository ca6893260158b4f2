"""Measures a folder of NVIDIA's headers: writes a C++ program from wanted.py, compiles it against them and runs it.

How a slot is found: in the Itanium C++ ABI (section 2.3, "Member Function Pointers") a pointer to a virtual member
function holds 1 + the function's offset in the virtual table, on x86-64 in its first word; so slot = (word - 1) / 8.
Destructors have no such pointer: for them a fake object with a table of recording functions is deleted through
NVIDIA's class (section 2.5.2: a virtual destructor takes two entries, complete then deleting). Fake objects also show
that an API object's second word is the implementation its inline methods call.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import wanted

Version = Tuple[int, ...]

PRELUDE = r"""
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>
#include "NvInfer.h"
%(parser)s
%(stand_ins)s

template <class Member> int slotOf(Member member) {
  static_assert(sizeof member == 16, "a pointer to member function is two words");
  std::uintptr_t word;
  std::memcpy(&word, &member, sizeof word);
  return word %% 8 == 1 ? static_cast<int>(word / 8) : -2;
}

int gCalled;
template <int N> void* record(void*) { gCalled = N; return nullptr; }
template <int... N> void** recordingTable(std::integer_sequence<int, N...>) {
  static void* table[] = {reinterpret_cast<void*>(&record<N>)...};
  return table;
}
struct Fake {
  void** vptr = recordingTable(std::make_integer_sequence<int, 128>{});
  void* words[7] = {};
};
template <class C> int deletingSlot() {
  Fake fake;
  gCalled = -3;
  C* volatile object = reinterpret_cast<C*>(&fake);
  delete object;
  return gCalled;
}
template <class C, class Call> int implSlot(Call call) {
  Fake impl, fake;
  fake.words[0] = &impl;
  fake.vptr = nullptr;
  gCalled = -3;
  C* volatile object = reinterpret_cast<C*>(&fake);
  call(object);
  return gCalled;
}
template <class C> concept complete = requires { sizeof(C); };
template <class C, class Named> struct Both : C, Named {};
"""

METHOD = """
namespace %(space)s {
struct Name_%(key)s { int %(method)s; };
template <class C> void probe_%(key)s() {
  if constexpr (!complete<C>) std::puts("method %(key)s absent");
  %(match)s
  else if constexpr (requires { &Both<C, Name_%(key)s>::%(method)s; }) std::puts("method %(key)s absent");
  else std::puts("method %(key)s signature");
}
}
"""

MATCH = (
    "else if constexpr (requires {{ static_cast<{signature}>(&C::{method}); }}) "
    'std::printf("method {key} %d\\n", slotOf(static_cast<{signature}>(&C::{method})));'
)

DELETE = """
namespace %(space)s {
template <class C> void probe_%(key)s() {
  if constexpr (!complete<C>) std::puts("method %(key)s absent");
  else std::printf("method %(key)s %%d\\n", deletingSlot<C>());
}
}
"""

ENUMERATOR = """
template <class E> void probe_%(key)s() {
  if constexpr (requires { E::%(name)s; }) std::printf("enum %(key)s %%d\\n", static_cast<int>(E::%(name)s));
  else std::puts("enum %(key)s absent");
}
"""

LAYOUT = """
template <class D> void probeDims() {
  std::printf("layout Dims.size %zu\\nlayout Dims.nbDims %zu\\nlayout Dims.d %zu\\nlayout Dims.extent %zu\\n",
      sizeof(D), offsetof(D, nbDims), offsetof(D, d), sizeof(D::d[0]));
}
template <class I> void probeInfo() {
  if constexpr (complete<I>)
    std::printf("layout InterfaceInfo.size %zu\\nlayout InterfaceInfo.kind %zu\\nlayout InterfaceInfo.major %zu\\n"
        "layout InterfaceInfo.minor %zu\\n", sizeof(I), offsetof(I, kind), offsetof(I, major), offsetof(I, minor));
}
"""


class Measured(NamedTuple):
    """What one folder of headers holds; None stands for "this version has no such name"."""

    version: Version
    methods: Dict[str, Optional[int]]
    enums: Dict[str, Optional[int]]
    layout: Dict[str, int]
    errors: List[str]
    has_parser: bool

    @property
    def name(self) -> str:
        """The version as TensorRT writes it: 10.3.0."""
        return ".".join(map(str, self.version))


def version_of(folder: Path) -> Version:
    """Reads major, minor and patch from NvInferVersion.h (which from 10.13 on names them by further macros)."""
    header = folder / "NvInferVersion.h"
    if not header.is_file():
        raise SystemExit(f"{folder}: no NvInferVersion.h there")
    defines = dict(re.findall(r"^#define\s+(\w+)\s+(\w+)", header.read_text(encoding="utf-8"), re.M))
    numbers = []
    for part in ("MAJOR", "MINOR", "PATCH"):
        value: str = defines["NV_TENSORRT_" + part]
        numbers.append(int(defines.get(value) or value))
    return tuple(numbers)


def key_of(class_name: str, method: str) -> str:
    """The method's name in the tables."""
    return f"{class_name}_{method}"


def signature_for(signature: wanted.Signature, version: Version) -> Optional[str]:
    """Picks the signature that counts for a version; None where the method must be absent."""
    if isinstance(signature, str):
        return signature
    found: Optional[str] = None
    for since, text in signature.items():
        if tuple(map(int, since.split("."))) <= version:
            found = text
    return found


def source(version: Version, has_parser: bool) -> str:
    """The probing program for one version."""
    parts = [
        PRELUDE
        % {
            "parser": '#include "NvOnnxParser.h"' if has_parser else "",
            "stand_ins": "\n".join(wanted.STAND_IN_TYPES),
        }
    ]
    calls = []
    for space, class_name, methods in wanted.METHODS:
        if space == wanted.PARSER and not has_parser:
            continue
        for method, signatures in methods.items():
            key = key_of(class_name, method)
            values = {"space": space, "key": key, "method": method, "match": ""}
            signature = signature_for(signatures, version)
            if signature:
                result, arguments = (signature + " (").split("(", 1)
                pointer = f"{result} (C::*)({arguments[:-2]}"
                values["match"] = MATCH.format(signature=pointer, method=method, key=key)
            parts.append((DELETE if signature == "delete" else METHOD) % values)
            calls.append((space, f"probe_{key}<{class_name}>();"))
    for space, type_name, prefix, names in wanted.ENUMS:
        if space == wanted.PARSER and not has_parser:
            continue
        for name in names.split():
            key = f"{prefix}_{name}"
            parts.append(ENUMERATOR % {"key": key, "name": name})
            calls.append((space, f"probe_{key}<{type_name}>();"))
        calls.append((space, f'std::printf("layout {prefix}.size %zu\\n", sizeof({type_name}));'))
    calls.append((wanted.API, 'std::printf("layout LayerType.count %d\\n", EnumMax<LayerType>());'))
    parts.append(LAYOUT)
    calls.append((wanted.API, "probeDims<Dims>(); probeInfo<InterfaceInfo>();"))
    for class_name, _, _ in wanted.OBJECTS:
        calls.append((wanted.API, f'std::printf("object {class_name}.delete %d\\n", deletingSlot<{class_name}>());'))
    for class_name, impl, method in wanted.OBJECTS + wanted.BORROWED:
        same = f"implSlot<{class_name}>([](auto* p) {{ p->{method}(); }}) == slotOf(&apiv::{impl}::{method})"
        calls.append((wanted.API, f'std::printf("object {class_name}.{method} %d\\n", {same});'))
    # Each call stands in the namespace it speaks of, so that NVIDIA's names are found before the stand-ins.
    body = "\n".join(f"namespace {space} {{ void call{i}() {{ {call} }} }}" for i, (space, call) in enumerate(calls))
    main = " ".join(f"{space}::call{i}();" for i, (space, _) in enumerate(calls))
    parts.append(f"{body}\nint main() {{ {main} }}\n")
    return "\n".join(parts)


def cuda_include(given: Optional[str]) -> Path:
    """Finds the CUDA headers that NvInfer.h includes: --cuda, CUDA_HOME, or nvcc on PATH."""
    roots = [Path(root) for root in (given, os.environ.get("CUDA_HOME")) if root]
    nvcc = shutil.which("nvcc")
    if nvcc:
        roots.append(Path(nvcc).resolve().parent.parent)
    for root in roots:
        for folder in (root / "include", root):
            if (folder / "cuda_runtime_api.h").is_file():
                return folder
    raise SystemExit("no CUDA headers found: give --cuda DIR, set CUDA_HOME, or put nvcc on PATH")


def compile_and_run(
    code: str, includes: List[Path], options: List[str], arguments: Optional[List[str]] = None
) -> subprocess.CompletedProcess[str]:
    """Compiles a C++20 program without optimisation, so that every virtual call is a real one, and runs it.

    The options may name further sources.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        raise SystemExit("the slots are read from x86-64's pointers to members: run this on x86-64")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "probe"
        (Path(folder) / "probe.cpp").write_text(code, encoding="utf-8")
        command = ["g++", "-std=c++20", "-O0", "-w", *options, str(program) + ".cpp", "-o", str(program)]
        for include in includes:
            command += ["-isystem", str(include)]
        command.append("-ldl")  # a library of its own before glibc 2.34
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            raise SystemExit(f"{includes[0]}: does not compile\n{built.stderr[:4000]}")
        return subprocess.run([str(program), *(arguments or [])], capture_output=True, text=True)


def measure(folder: Path, cuda: Path, defines: Optional[List[str]] = None) -> Measured:
    """Measures one folder of headers."""
    version = version_of(folder)
    has_parser = (folder / "NvOnnxParser.h").is_file()
    options = [f"-D{define}" for define in defines or []]
    done = compile_and_run(source(version, has_parser), [folder, cuda], options)
    if done.returncode:
        raise SystemExit(f"{folder}: the probe ended with {done.returncode}\n{done.stderr}")
    result = Measured(version, {}, {}, {}, [], has_parser)
    objects: Dict[str, int] = {}
    for line in done.stdout.splitlines():
        kind, name, value = line.split()
        if value == "signature":
            result.errors.append(f"{name}: declared, but not with the signature wanted")
        elif kind in ("method", "enum"):
            target = result.methods if kind == "method" else result.enums
            target[name] = None if value == "absent" else int(value)
        elif kind == "layout":
            result.layout[name] = int(value)
        else:
            objects[name] = int(value)
    result.errors.extend(judge(result, objects))
    return result


def judge(result: Measured, objects: Dict[str, int]) -> List[str]:
    """Compares layouts and objects with what wanted.py and cpp/abi take for granted."""
    errors = [f"{name}: slot {slot} makes no sense" for name, slot in result.methods.items() if slot and slot < 0]
    expected = dict(wanted.LAYOUTS.get(result.version[0], {}))
    expected.update({name: 4 for name in result.layout if name.endswith(".size") and name not in expected})
    for name, value in sorted(expected.items()):
        if result.layout.get(name) != value:
            errors.append(f"{name}: {result.layout.get(name)} bytes, not {value}")
    for name, value in objects.items():
        if name.endswith(".delete") and value != wanted.DELETING_SLOT:
            errors.append(f"{name}: slot {value}, not {wanted.DELETING_SLOT}")
        elif not name.endswith(".delete") and value != 1:
            errors.append(f"{name}: does not pass through the second word of the object")
    layers = sum(1 for name, value in result.enums.items() if name.startswith("LayerType_") and value is not None)
    if layers != result.layout["LayerType.count"]:
        errors.append(f"LayerType: {layers} enumerators known, {result.layout['LayerType.count']} declared")
    return errors
