"""Checkpoints: exact round trips, whole files at every moment, damage noticed, nothing executed."""

import contextlib
import errno
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import minicnn as mc
from minicnn.training import CheckpointFile, checkpoints, read_checkpoint

STATE = {
    "step": 12,
    "big": 2**80,
    "lr": 0.1,
    "tiny": 5e-324,
    "nan": float("nan"),
    "infinite": -float("inf"),
    "name": "läufer",
    "none": None,
    "flag": True,
    "betas": (0.9, 0.999),
    "list": [1, [2.5, None]],
    "optimizer": {0: {"momentum": np.arange(6, dtype=np.float32).reshape(2, 3)}, 1: {}},
    "odd": {"$array": 0, "a.b": {}},
    "scalar": np.float32(0.1),
    "zero_d": np.array(3, np.int64),
    "empty": np.zeros((0, 3)),
    "bool": np.array([True, False]),
    "half": np.arange(3, dtype=np.float16),
    "big_endian": np.arange(3, dtype=">i4"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


def _same(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        return all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        assert type(a) is type(b) and len(a) == len(b)
        return all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray | np.generic):
        assert type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype.newbyteorder(a.dtype.byteorder)
        return np.array_equal(a, b)
    return type(a) is type(b) and repr(a) == repr(b)


def _save(path, state=STATE):
    CheckpointFile(path).save(state)
    return path


def test_everything_comes_back_exactly_with_its_type_and_order(tmp_path):
    back = read_checkpoint(_save(tmp_path / "c.npz"))
    assert _same(STATE, back)
    assert all(a.flags.writeable and a.flags.aligned for a in (back["half"], back["optimizer"][0]["momentum"]))


def test_tensors_come_back_as_arrays(tmp_path):
    weight = mc.tensor([1.0, 2.0], requires_grad=True)
    back = read_checkpoint(_save(tmp_path / "c.npz", {"w": weight.detach()}))
    np.testing.assert_array_equal(back["w"], [1, 2])


def test_bfloat16_comes_back_exactly(tmp_path):
    layer = mc.nn.Linear(3, 2).to("bfloat16")
    file = CheckpointFile(tmp_path / "c.npz")
    file.save({"layer": layer.state_dict(), "momentum": mc.tensor([[1.5], [-2.0**100]], dtype="bfloat16")})
    state, _ = file.load()
    assert state["layer"]["weight"].dtype == state["momentum"].dtype == mc.bfloat16
    np.testing.assert_array_equal(state["layer"]["weight"], layer.weight.detach().numpy())
    assert state["momentum"].tolist() == [[1.5], [-(2.0**100)]]


def test_numpy_opens_the_file_too_and_equal_states_make_equal_bytes(tmp_path):
    one, two = _save(tmp_path / "a.npz"), _save(tmp_path / "b.npz")
    assert one.read_bytes() == two.read_bytes()
    with np.load(one, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["arrays/0"], STATE["optimizer"][0]["momentum"])


@pytest.mark.parametrize("bad", [object(), {1.5: 2}, b"bytes", np.array([object()]), np.array(["text"]), {1, 2}, 1j])
def test_what_cannot_be_stored_is_named_by_its_place(tmp_path, bad):
    _save(tmp_path / "c.npz", {"good": 1})
    with pytest.raises(TypeError, match=r"save_checkpoint: state\.inner\[0\]"):
        CheckpointFile(tmp_path / "c.npz").save({"inner": [bad]})
    assert read_checkpoint(tmp_path / "c.npz") == {"good": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.npz"]


def test_the_one_before_is_kept(tmp_path):
    file = CheckpointFile(tmp_path / "c.npz")
    for i in range(4):
        file.save({"i": i})
    assert read_checkpoint(file.path) == {"i": 3}
    assert read_checkpoint(file.previous) == {"i": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.npz", "c.previous.npz"]
    file.save({"i": 9}, keep_previous=False)
    assert file.load() == ({"i": 9}, []) and not file.previous.exists()


@pytest.mark.parametrize("link", [True, False])
def test_file_systems_without_hard_links(tmp_path, monkeypatch, link):
    if not link:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    file = CheckpointFile(tmp_path / "c.npz")
    file.save({"i": 0})
    file.save({"i": 1})
    assert read_checkpoint(file.path) == {"i": 1} and read_checkpoint(file.previous) == {"i": 0}


# -- damage ------------------------------------------------------------------------------------------------------


def test_every_truncation_is_noticed(tmp_path):
    path = _save(tmp_path / "c.npz", {"w": np.arange(20.0), "n": 1})
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(
            ValueError, match=r"read_checkpoint: the file is corrupt, truncated or no checkpoint.*c\.npz"
        ):
            read_checkpoint(path)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    state = {"w": np.arange(8, dtype=np.float32), "n": 1}
    path = _save(tmp_path / "c.npz", state)
    good = path.read_bytes()
    noticed = 0
    for place in range(0, len(good), 2):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        path.write_bytes(bad)
        try:
            back = read_checkpoint(path)
        except ValueError as error:
            assert "c.npz" in str(error)  # noqa: PT017
            noticed += 1
        else:
            assert _same(state, back)  # a date or a version byte of the zip
    assert noticed > 0.35 * len(good)


def _rewrite(path, change_header=None, change_members=None, **options):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change_header:
        header = json.loads(members["header.json"])
        change_header(header)
        members["header.json"] = json.dumps(header).encode()
    if change_members:
        change_members(members)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _object_array():
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    return file.getvalue()


def _npy(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


FORGED = {
    "another format": {"change_header": lambda h: h.update(format="other")},
    "no format": {"change_header": lambda h: h.pop("format")},
    "an unknown tag": {"change_header": lambda h: h.update(tree={"$call": "os.system"})},
    "an index out of range": {"change_header": lambda h: h.update(tree={"$array": 7})},
    "another shape": {"change_header": lambda h: h["arrays"][0].update(shape=[9])},
    "another dtype": {"change_header": lambda h: h["arrays"][0].update(dtype="<f8")},
    "an object dtype": {"change_header": lambda h: h["arrays"][0].update(dtype="|O")},
    "a nonsense dtype": {"change_header": lambda h: h["arrays"][0].update(dtype="nonsense")},
    "a missing array": {"change_members": lambda m: m.pop("arrays/0.npy")},
    "an extra member": {"change_members": lambda m: m.update({"../evil": b""})},
    "a pickled array": {"change_members": lambda m: m.update({"arrays/0.npy": _object_array()})},
    "a header that is no JSON": {"change_members": lambda m: m.update({"header.json": b"{"})},
    "a header nested too deeply": {"change_members": lambda m: m.update({"header.json": b"[" * 100_000})},
    "a header that is a list": {"change_members": lambda m: m.update({"header.json": b"[]"})},
    "a huge claim": {
        "change_header": lambda h: h["arrays"][0].update(shape=[10**12]),
        "change_members": lambda m: m.update(
            {"arrays/0.npy": _npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}\n")}
        ),
    },
    "code in the array's header": {
        "change_members": lambda m: m.update({"arrays/0.npy": _npy(b"__import__('os').system('touch /tmp/x')\n")})
    },
    "packed members": {"compression": zipfile.ZIP_DEFLATED},
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_file_is_one_clear_error(tmp_path, kind):
    path = _save(tmp_path / "c.npz", {"w": np.arange(8, dtype=np.float32)})
    _rewrite(path, **FORGED[kind])
    with pytest.raises(
        ValueError, match=r"read_checkpoint: the file is corrupt, truncated or no checkpoint \(.+c\.npz"
    ):
        read_checkpoint(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for content in (pickle.dumps(Evil()), b"", b"PK\x03\x04" + pickle.dumps(Evil())):
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(ValueError, match="no checkpoint"):
            read_checkpoint(tmp_path / "c.npz")
    assert not (tmp_path / "ran").exists()


def test_a_newer_version_says_so(tmp_path):
    path = _save(tmp_path / "c.npz", {})
    _rewrite(path, change_header=lambda h: h.update(version=99))
    with pytest.raises(ValueError, match="written in format version 99; this release reads up to 1"):
        read_checkpoint(path)


# -- falling back ------------------------------------------------------------------------------------------------


def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path):
    file = CheckpointFile(tmp_path / "c.npz")
    file.save({"i": 0})
    file.save({"i": 1})
    file.path.write_bytes(file.path.read_bytes()[:-30])
    again = CheckpointFile(tmp_path / "c.npz")
    state, [note] = again.load()
    assert state == {"i": 0}
    assert "c.npz" in note and "corrupt, truncated" in note and note.endswith("using c.previous.npz")
    again.save({"i": 2})  # must not push the good one out by the damaged one
    assert read_checkpoint(again.previous) == {"i": 0} and read_checkpoint(again.path) == {"i": 2}


def test_a_new_writer_does_not_keep_a_damaged_file_either(tmp_path):
    file = CheckpointFile(tmp_path / "c.npz")
    file.save({"i": 0})
    file.save({"i": 1})
    file.path.write_bytes(b"")
    CheckpointFile(tmp_path / "c.npz").save({"i": 2})
    assert read_checkpoint(file.previous) == {"i": 0}


def test_nothing_to_load(tmp_path):
    file = CheckpointFile(tmp_path / "c.npz")
    with pytest.raises(FileNotFoundError, match=r"load_checkpoint: file does not exist.*c\.npz"):
        file.load()
    file.path.write_bytes(b"x")
    file.previous.write_bytes(b"y")
    with pytest.raises(ValueError, match=r"no checkpoint is readable: .*c\.npz.*c\.previous\.npz"):
        file.load()


# -- dying and running out of space ------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it may run on purpose."""


CALLS = [(os, "fsync"), (os, "link"), (os, "replace"), (checkpoints.zipfile.ZipFile, "writestr"),
         (checkpoints.npy, "write_array")]  # fmt: skip


@pytest.mark.parametrize("after_the_call", [False, True])
@pytest.mark.parametrize("number", range(9))
def test_dying_at_any_system_call_leaves_the_old_or_the_new_checkpoint(tmp_path, monkeypatch, number, after_the_call):
    file = CheckpointFile(tmp_path / "c.npz")
    file.save({"w": np.array([0.0]), "i": 0})
    file.save({"w": np.array([1.0]), "i": 1})
    count = 0
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "_clean", lambda self: None)  # a killed process tidies nothing up

        def fatal(call):
            def wrapped(*args, **kwargs):
                nonlocal count
                count += 1
                if count == number + 1 and not after_the_call:
                    raise Killed
                result = call(*args, **kwargs)
                if count == number + 1:
                    raise Killed
                return result

            return wrapped

        for owner, name in CALLS:
            patch.setattr(owner, name, fatal(getattr(owner, name)))
        with contextlib.suppress(Killed):
            file.save({"w": np.array([2.0]), "i": 2})
    state, notes = CheckpointFile(tmp_path / "c.npz").load()
    assert state["i"] in (1, 2) and not notes
    assert state["w"].tolist() == [state["i"]]
    CheckpointFile(tmp_path / "c.npz").save({"i": 3})  # and what it left behind is no obstacle
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.npz", "c.previous.npz"]
    assert read_checkpoint(tmp_path / "c.previous.npz")["i"] == state["i"]


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    file = CheckpointFile(tmp_path / "c.npz")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left on device; there is no older one"):
            file.save({"i": 0})
    assert list(tmp_path.iterdir()) == []
    file.save({"i": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match=r"could not write: No space left.*last good one is kept.*c\.npz") as caught:
            file.save({"i": 2})
    assert caught.value.errno == errno.ENOSPC
    assert file.load() == ({"i": 1}, [])
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_a_real_limit_on_the_file_size_keeps_the_last_good_checkpoint(tmp_path):
    pytest.importorskip("resource")
    code = f"""
import resource, signal, sys
import numpy as np
from minicnn.training import CheckpointFile
file = CheckpointFile({str(tmp_path / "c.npz")!r})
file.save({{"i": 1}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    file.save({{"i": 2, "w": np.zeros(10_000)}})
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "save_checkpoint: could not write: File too large; the last good one is kept" in done.stdout
    assert read_checkpoint(tmp_path / "c.npz") == {"i": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"save_checkpoint: could not write: (Not a directory|File exists)"):
        CheckpointFile(tmp_path / "file" / "c.npz").save({})
