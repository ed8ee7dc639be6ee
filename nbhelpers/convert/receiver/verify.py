#!/usr/bin/env python
"""Check a handoff folder: load every artefact that this TensorFlow can load, run it, compare.

    python verify.py                   everything, with exit status 0 only if all of it agrees
    python verify.py --only graph/tf1.4/frozen.pb python verify.py --json result.json python
    verify.py --unsealed        without checking the files against SHA256SUMS

Needs only numpy and TensorFlow (1.4 or later, including 2.x) on Python 3.6 or later. The inputs,
and PyTorch's outputs for them, are in golden.npz beside this file.
"""

import sys

if __name__ == "__main__":
    # Do not import modules from this folder: a numpy.py beside this script must not run.
    PLACES, sys.path[:] = list(sys.path), []
    import os  # Python has already loaded it, so no folder is searched

    def _real(path):
        return os.path.normcase(os.path.realpath(path)) + os.sep

    def _may_be_searched(place, here):
        """Whether a folder is an environment, or not this folder, its parent or inside it."""
        own = _real(sys.prefix)
        environment = own.startswith(here) and place.startswith(own) and place != here
        return environment or not (place.startswith(here) or place == _real(here + os.pardir))

    HERES = {_real(os.path.dirname(path)) for path in (__file__, os.path.realpath(__file__))}
    for PLACE in PLACES:
        if all(_may_be_searched(_real(PLACE), here) for here in HERES):
            sys.path.append(PLACE)

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import time
import unicodedata

# TensorFlow's start-up messages would hide the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

COARSE = {"float16": 8 * 2.0**-10, "bfloat16": 8 * 2.0**-7}
"""The tolerance of half floats is at least this: eight units in their last place."""

HERE = os.path.dirname(os.path.abspath(__file__))

MANIFEST = json.loads("""{}""")  # filled in when this script is copied into a folder
# {"name", "tolerance", "refused": {what ops do besides computing: which ones, a pattern},
#  "artefacts": [{"path", "kind", "oldest", "inputs", "outputs", "signature", "tags",
#                 "precisions"}]}  (outputs that half floats lead to, and the kind of those)

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  ([^\r\n]+)\r?\n\Z")
SEALED = ("exported.onnx", "prepared.onnx", "golden.npz", "predict.py", "report.html", "verify.py")
"""Files that SHA256SUMS lists if they exist, in addition to graph/ and the artefacts."""


class Unsealed(Exception):
    """SHA256SUMS is missing or invalid."""


def read_sums():
    """Return name -> sha256, as listed in SHA256SUMS. Raises Unsealed."""
    path = os.path.join(HERE, SUMS)
    if os.path.islink(path) or not os.path.isfile(path):
        raise Unsealed("SHA256SUMS is missing")
    try:
        with open(path, "rb") as file:
            lines = list(file)
    except OSError as error:
        raise Unsealed("SHA256SUMS cannot be read (%s)" % error.strerror) from error
    sums, known = {}, set()  # type: dict, set
    for number, line in enumerate(lines, 1):
        found = LINE.match(os.fsdecode(line))
        if not found or not is_plain(found.group(2)):
            raise Unsealed(
                "line %d of SHA256SUMS is not a checksum and a name of a file here" % number
            )
        digest, name = found.groups()
        if name.lower() in known:
            raise Unsealed("SHA256SUMS lists %s twice" % printable(name))
        known.add(name.lower())
        sums[name] = digest
    return sums


def is_plain(name):
    """Return whether a name leads to a file below this folder, and has only visible characters."""
    parts = name.split("/")
    hidden = any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in name)
    return not (hidden or "\\" in name or ":" in parts[0] or {"", ".", ".."} & set(parts))


def check_sums():
    """Return (files that differ from their seal, files without a seal), in words. Raises
    Unsealed."""
    sums = read_sums()
    entries = {"frozen": "", "savedmodel": "/saved_model.pb"}
    needed = {each["path"] + entries[each["kind"]] for each in MANIFEST["artefacts"]}
    needed |= {"golden.npz", "verify.py"}
    found = ((name, problem(name, digest)) for name, digest in sorted(sums.items()))
    wrong = ["%s %s" % (printable(name), words) for name, words in found if words]
    more = [name for name in files_here() if name not in sums and name not in needed]
    inside = ("graph/", *(each["path"] + "/" for each in MANIFEST["artefacts"]))
    added = [name for name in more if name in SEALED or name.startswith(inside)]
    unlisted = sorted((needed - set(sums)).union(added))
    if unlisted:
        wrong.append("SHA256SUMS has no line for %s" % listed(list(map(printable, unlisted)), ", "))
    return wrong, grouped([name for name in more if name not in added], sums)


def problem(name, digest):
    """Return what is wrong with a sealed file, in words that follow its name, or ""."""
    path = HERE
    for part in name.split("/"):
        path = os.path.join(path, part)
        if os.path.islink(path):
            return "is behind a link (cp -rL copies a folder without links)"
    if not os.path.isfile(path):
        return "is missing"
    seen = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                seen.update(block)
    except OSError as error:
        return "cannot be read (%s)" % error.strerror
    return "" if seen.hexdigest() == digest else "was changed"


def files_here():
    """Return the names of all files below this folder, and of links to folders."""
    names = []
    for place, folders, files in os.walk(HERE):
        links = [each for each in folders if os.path.islink(os.path.join(place, each))]
        paths = (os.path.join(place, each) for each in files + links)
        names += [os.path.relpath(path, HERE).replace(os.sep, "/") for path in paths]
    return sorted(set(names) - {SUMS, ".lock", ".run.lock"})


def grouped(names, sums):
    """Return names in words. A folder without any sealed file counts as one name."""
    sealed = {name.partition("/")[0] for name in sums}
    counts = {}  # type: dict
    for name in names:
        top, slash, _ = name.partition("/")
        shown = top + "/" if slash and top not in sealed else name
        counts[shown] = counts.get(shown, 0) + 1
    return [
        printable(name) + (" (files: %d)" % count if name.endswith("/") else "")
        for name, count in sorted(counts.items())
    ]


def listed(words, between="; ", most=20):
    """Return a list on one line of limited length."""
    more = ["and %d more" % (len(words) - most)] if len(words) > most else []
    return between.join(words[:most] + more)


def printable(text):
    """Return a text in which no character can control a terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def load_cases():
    """Return [(case name, inputs, outputs, labels)], each a dict of arrays by ONNX name."""
    cases = []
    by_name = {}  # type: dict
    with np.load(os.path.join(HERE, "golden.npz"), allow_pickle=False) as arrays:
        for key in arrays.files:
            case, kind, name = key.split("/", 2)
            if case not in by_name:
                by_name[case] = {"input": {}, "output": {}, "label": {}}
                cases.append((case, by_name[case]))
            by_name[case][kind][name] = as_bytes(arrays[key])
    return [(case, kinds["input"], kinds["output"], kinds["label"]) for case, kinds in cases]


def as_bytes(value):
    """Return texts in TensorFlow's form, an object array of bytes, and other values unchanged."""
    if not isinstance(value, bytes) and np.asarray(value).dtype.kind not in "UO":
        return value
    texts = np.array(value, object)
    found = np.empty(texts.shape, object)
    for place, text in zip(np.ndindex(texts.shape), texts.ravel().tolist()):
        found[place] = text if isinstance(text, bytes) else text.encode("utf-8")
    return found


def version_1_api(tf):
    """Return the TensorFlow 1 interface, which 2.x keeps under compat.v1."""
    if tf.__version__.split(".")[0] == "1":
        return tf
    return tf.compat.v1


def said(error):
    """Return the first line of an error that gives a reason, or its type if it has no text."""
    where = ("Graph execution error", "Detected at node", "<stack traces", "Node: ", 'File "')
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(where)]
    return printable((lines or [type(error).__name__])[0][:300].rstrip("."))


@contextlib.contextmanager
def frozen_graph(tf, artefact):
    """Return a function inputs -> outputs (by ONNX name) for a frozen graph."""
    v1 = version_1_api(tf)
    graph_def = v1.GraphDef()
    with open(os.path.join(HERE, artefact["path"]), "rb") as file:
        graph_def.ParseFromString(file.read())
    graph = tf.Graph()
    with graph.as_default():
        v1.import_graph_def(graph_def, name="")
    with contextlib.closing(v1.Session(graph=graph)) as session:
        yield lambda inputs: _run(session, artefact["inputs"], artefact["outputs"], inputs)


@contextlib.contextmanager
def saved_model(tf, artefact):
    """Return a function inputs -> outputs (by ONNX name) for a SavedModel, loaded as clients do."""
    path = os.path.join(HERE, artefact["path"])
    if tf.__version__.split(".")[0] != "1":
        # The loaded object owns the variables of its functions. This name keeps it alive.
        loaded = tf.saved_model.load(path, tags=artefact["tags"])
        yield lambda inputs: _call(tf, loaded.signatures[artefact["signature"]], artefact, inputs)
        return
    with contextlib.closing(tf.Session(graph=tf.Graph())) as session:
        with session.graph.as_default():
            meta_graph = tf.saved_model.loader.load(session, artefact["tags"], path)
        signature = meta_graph.signature_def[artefact["signature"]]
        fed = {name: signature.inputs[key].name for name, key in artefact["inputs"].items()}
        fetch = {name: signature.outputs[key].name for name, key in artefact["outputs"].items()}
        yield lambda inputs: _run(session, fed, fetch, inputs)


def check_ops(artefact, allowed):
    """Raise ValueError if a graph has ops that do more than compute, before the graph is loaded."""
    from tensorflow.core.protobuf import saved_model_pb2

    refused, path = dict(MANIFEST.get("refused", {})), os.path.join(HERE, artefact["path"])
    if artefact["kind"] == "savedmodel":
        path = os.path.join(path, "saved_model.pb")
        refused.pop("reads or writes checkpoints", None)  # a SavedModel reads its own variables
    saved = saved_model_pb2.SavedModel()
    with open(path, "rb") as file:
        frozen = artefact["kind"] == "frozen"
        message = saved.meta_graphs.add().graph_def if frozen else saved
        message.MergeFromString(file.read())
    check_nodes([each.graph_def for each in saved.meta_graphs], refused, allowed)


def check_nodes(graphs, refused, allowed):
    """Raise ValueError if graphs have ops that do more than compute; both scripts have this."""
    scopes = [graph.node for graph in graphs]
    scopes += [each.node_def for graph in graphs for each in graph.library.function]
    ops = {node.op for scope in scopes for node in scope} - set(allowed)
    for does, pattern in sorted(refused.items()):
        for op in sorted(ops):
            if re.match("(?:%s)\\Z" % pattern, op):
                words = "it has the op %s, which %s. If you trust its maker, add --allow-op %s"
                raise ValueError(words % (op, does, op))


def _call(tf, function, artefact, inputs):
    fed = {artefact["inputs"][name]: tf.constant(value) for name, value in inputs.items()}
    results = function(**fed)
    return {name: results[key].numpy() for name, key in artefact["outputs"].items()}


def _run(session, input_tensors, output_tensors, inputs):
    names = sorted(output_tensors)
    fed = {input_tensors[name]: value for name, value in inputs.items()}
    return dict(zip(names, session.run([output_tensors[name] for name in names], fed)))


def compare(expected, actual, tolerance, coarse):
    """Return (agrees, largest difference, that as a share of the largest value, labels agree).

    `tolerance` is the largest relative difference allowed. `coarse`, at most that, is for half
    floats.
    """
    expected, actual = as_bytes(expected), as_bytes(actual)
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False, None, None, None
    if not expected.size:
        return True, 0.0, 0.0, None
    if expected.dtype.kind not in "fc":
        return _compare_exactly(expected, actual)
    kind = "complex128" if np.iscomplexobj(expected) else "float64"
    exact, seen = expected.astype(kind), actual.astype(kind)
    # Equal infinities, and NaNs in the same places, agree. Their difference would be NaN.
    same = (exact == seen) | (np.isnan(exact) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        largest = float(np.max(np.where(same, 0, np.abs(seen - exact))))
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max()) if finite.size else 0.0
    relative = largest / scale if scale else largest
    labels = None
    if expected.ndim == 2 and expected.shape[1] > 1 and kind == "float64":
        labels = _labels_agree(exact, seen, coarse * scale)
    # An infinite difference is never within the tolerance, and NaN compares as False.
    agrees = largest <= tolerance * scale if scale else largest <= 1e-6
    return bool(agrees and labels is not False), largest, relative, labels


def _labels_agree(expected, actual, slack):
    """Whether every row has the same largest class. Classes within `slack` count as the same."""
    first, second = expected.argmax(axis=1), actual.argmax(axis=1)
    rows = np.arange(len(expected))
    with np.errstate(invalid="ignore"):
        near = expected[rows, first] - expected[rows, second] <= slack
    return bool(((first == second) | (near & (slack > 0))).all())


def _compare_exactly(expected, actual):
    """Compare integers, booleans or texts exactly, because a label that is nearly right is
    wrong."""
    differs = np.asarray(expected != actual)
    largest, scale = float(differs.any()), 1.0
    if expected.dtype.kind in "iu":
        # Python's integers have neither unsigned wrap-around nor the 53 bits of a float.
        pairs = zip(expected[differs].tolist(), actual[differs].tolist())
        largest = float(max([abs(a - b) for a, b in pairs] or [0]))
        scale = float(max(abs(int(expected.max())), abs(int(expected.min()))))
    return not differs.any(), largest, largest / scale if scale else largest, None


def judge(run, artefact, case):
    """Run one case and return its row. A signature may give only some of the outputs."""
    name, inputs, outputs, labels = case
    results = run(inputs)
    outputs = {key: value for key, value in outputs.items() if key in artefact["outputs"]}
    kinds = artefact["precisions"]
    coarse = {
        key: COARSE.get(kinds.get(key, each.dtype.name), 0.0) for key, each in outputs.items()
    }
    allowed = {key: max(MANIFEST["tolerance"], coarse[key]) for key in outputs}
    labels = {key: value for key, value in labels.items() if key in artefact["outputs"]}
    compared = {
        key: compare(value, results[key], allowed[key], coarse[key])
        for key, value in outputs.items()
    }
    shown = [row for row in compared.values() if row[1] is not None]
    comparable = len(shown) == len(compared)
    agreeing = [row[3] for row in compared.values() if row[3] is not None]
    return {
        "case": name,
        "ok": all(row[0] for row in compared.values()),
        # numpy's max keeps a NaN at any position.
        "largest_difference": float(np.max([row[1] for row in shown])) if comparable else None,
        "relative": float(np.max([row[2] for row in shown])) if comparable else None,
        "tolerance": max(allowed.values()),
        "labels_agree": all(agreeing) if agreeing else None,
        "accuracy": {
            key: float((results[key].argmax(axis=1) == value).mean())
            for key, value in labels.items()
        },
    }


def latency(run, inputs, repeats=5, seconds=2.0):
    """Return the median time of a call in milliseconds. A long call is made only once."""
    times = []  # type: list
    begin = time.time()
    while len(times) < repeats and (not times or time.time() - begin < seconds):
        start = time.time()
        run(inputs)
        times.append(time.time() - start)
    return 1000 * sorted(times)[len(times) // 2]


def verify(only, allowed=()):
    """Return (TensorFlow's version, one row per artefact and case)."""
    try:
        cases = load_cases()
    except Exception as error:  # noqa: BLE001 - numpy raises any error for a truncated file
        sys.exit("golden.npz cannot be read: %s. Get the folder again." % said(error))
    try:
        import tensorflow as tf
    except ImportError as error:
        sys.exit("TensorFlow (1.4 or later) is needed, but this Python has none: %s." % error)
    here = tuple(int(part) for part in tf.__version__.split(".")[:2])
    loaders = {"frozen": frozen_graph, "savedmodel": saved_model}
    rows, left_out = [], set()
    for artefact in MANIFEST["artefacts"]:
        if only and artefact["path"] not in only:
            continue
        if here < tuple(artefact["oldest"]):
            if artefact["path"] not in left_out:  # it may have several signatures
                oldest = ".".join(map(str, artefact["oldest"]))
                print("  left out: %s, for TensorFlow %s or later" % (artefact["path"], oldest))
            left_out.add(artefact["path"])
            continue
        try:
            check_ops(artefact, allowed)
            with loaders[artefact["kind"]](tf, artefact) as run:
                found = [
                    judge(run, artefact, cases[0])
                ]  # the first call also initialises the graph
                found[0]["latency_ms"] = latency(run, cases[0][1])
                found += [judge(run, artefact, case) for case in cases[1:]]
        except Exception as error:  # noqa: BLE001 - TensorFlow's error is the verdict here
            found = [{"case": "load", "ok": False, "error": said(error)}]
        where = {"artefact": artefact["path"], "signature": artefact["signature"]}
        rows += [dict(row, **where) for row in found]
    return tf.__version__, rows


def show(version, rows):
    """Print the rows as a table."""
    print("%s on TensorFlow %s, Python %s" % (MANIFEST["name"], version, sys.version.split()[0]))
    for row in rows:
        row["shown"] = ":".join(filter(None, [row["artefact"], row["signature"]]))
    width = max(len(row["shown"]) for row in rows)
    for row in rows:
        words = "ok  " if row["ok"] else "FAIL"
        if row.get("error"):
            detail = row["error"]
        elif row["relative"] is None:
            detail = "an output has another shape or dtype, or is missing"
        else:
            detail = "largest difference %.1e (%.1e of largest value, %.1e allowed)" % (
                row["largest_difference"],
                row["relative"],
                row["tolerance"],
            )
            if row["labels_agree"] is not None:
                detail += ", labels %s" % ("identical" if row["labels_agree"] else "DIFFER")
            for name, share in sorted(row["accuracy"].items()):
                detail += ", accuracy of %s %.4f" % (name, share)
        case = printable(row["case"])
        print("  %s  %-*s  %-9s  %s" % (words, width, row["shown"], case, detail))


def main():
    """Verify and print. Return the exit status, or why the rows could not be written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", help="path of an artefact, as in the table")
    parser.add_argument("--json", help="also write the rows to this file")
    parser.add_argument("--allow-op", action="append", help="an op that may do more than compute")
    parser.add_argument("--unsealed", action="store_true", help="do not check SHA256SUMS")
    options = parser.parse_args()
    known = [artefact["path"] for artefact in MANIFEST["artefacts"]]
    for path in options.only or ():
        if path not in known:
            parser.error("there is no artefact %s. There are: %s" % (path, ", ".join(known)))
    try:
        wrong, more = ([], []) if options.unsealed else check_sums()
    except Unsealed as error:
        print(
            "%s: so nobody can tell whether a file was changed on the way. Get the folder again, "
            "or skip this "
            "check with --unsealed." % error
        )
        return 1
    if more:
        print("Not sealed, so not checked: %s." % listed(more))
    if wrong:
        print("The folder is not as it was sealed: %s." % listed(wrong))
        return 1
    version, rows = verify(options.only, options.allow_op or ())
    try:
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"tensorflow": version, "rows": rows}, file)
        unwritten = None
    except OSError as error:
        unwritten = "The rows cannot be written: %s. Choose another place." % said(error)
    if not rows:
        print("No artefact here can be loaded by TensorFlow %s. Use a newer one." % version)
        return unwritten or 1
    show(version, rows)
    bad = sum(not row["ok"] for row in rows)
    sums = (
        "the files were not checked for changes"
        if options.unsealed
        else "every sealed file is unchanged"
    )
    print("%d of %d runs agree, and %s." % (len(rows) - bad, len(rows), sums))
    return unwritten or (1 if bad else 0)


if __name__ == "__main__":
    # Print letters that the terminal lacks as escapes. With LANG=C, Python 3.6 would stop instead.
    sys.stdout = io.TextIOWrapper(
        sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    sys.exit(main())
