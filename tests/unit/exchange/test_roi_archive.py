"""Archives of ROI sets are read in memory and within limits."""

import io
import zipfile

import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import roi_archive as ra


@pytest.fixture
def archive(tmp_path):
    def make(*members):
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
        return tmp_path / "x.zip"

    return make


def test_members_come_in_their_order_without_what_macos_adds(archive):
    path = archive(("b.roi", b"1"), ("__MACOSX/._b.roi", b"x"), ("folder/", b""), (".DS_Store", b"x"), ("A.ROI", b"2"))
    assert ra.read_members(path) == [("b", b"1"), ("A", b"2")]


def test_an_archive_that_is_cut_off_is_refused(archive, tmp_path):
    content = archive(("a.roi", bytes(1000))).read_bytes()
    for length in (len(content) // 2, len(content) - 5):
        (tmp_path / "cut.zip").write_bytes(content[:length])
        with pytest.raises(ImageError, match="no whole archive"):
            ra.read_members(tmp_path / "cut.zip")


def test_a_member_whose_bytes_are_damaged_is_refused(archive, tmp_path):
    content = bytearray(archive(("a.roi", b"some bytes of a region")).read_bytes())
    content[40] ^= 255
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ImageError, match="no whole archive"):
        ra.read_members(tmp_path / "x.zip")


def test_anything_but_rois_is_refused(archive, tmp_path):
    with pytest.raises(ImageError, match="'run.py', which is no ROI"):
        ra.read_members(archive(("a.roi", b"1"), ("run.py", b"print()")))
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(ImageError, match="no ImageJ ROI"):
        ra.read_members(tmp_path / "x.zip")


def test_a_name_that_leads_out_of_the_folder_is_a_name_only(archive, tmp_path):
    assert ra.read_members(archive(("../../evil.roi", b"1"))) == [("../../evil", b"1")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]


def test_a_decompression_bomb_is_refused(archive, monkeypatch):
    monkeypatch.setattr(ra, "MAX_MEMBER_BYTES", 1000)
    with pytest.raises(ImageError, match="decompression bomb"):
        ra.read_members(archive(("a.roi", bytes(5000))))
    monkeypatch.setattr(ra, "MAX_BYTES", 1500)
    with pytest.raises(ImageError, match="decompression bomb"):
        ra.read_members(archive(("a.roi", bytes(900)), ("b.roi", bytes(900))))


def test_too_many_members_are_refused(archive, monkeypatch):
    monkeypatch.setattr(ra, "MAX_MEMBERS", 1)
    with pytest.raises(ImageError, match="lists 2 files"):
        ra.read_members(archive(("a.roi", b""), ("b.roi", b"")))


def test_the_same_rois_give_the_same_bytes():
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        ra.write_members(stream, [("a", b"1")])
    assert streams[0].getvalue() == streams[1].getvalue()
