"""ImageJ, which comes with CellProfiler, reads what NucDL writes and writes what NucDL reads: the same pixels."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nucdl_core.exchange import rois
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, objects_of
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

SHAPE = (24, 30)
# Reads a set, or writes one of its own, and prints name, group, property class and the pixels of each ROI.
PROGRAM = """
import ij.gui.*; import ij.io.*; import java.io.*; import java.util.*; import java.util.zip.*;
public class Rois {
  static void tell(Roi roi) {
    StringBuilder text = new StringBuilder(roi.getName() + ";" + roi.getProperty("class") + ";");
    java.awt.Rectangle box = roi.getBounds();
    for (int y = 0; y < box.height; y++) for (int x = 0; x < box.width; x++)
      if (roi.getMask() == null || roi.getMask().get(x, y) != 0) text.append((box.y + y) * 30 + box.x + x).append(" ");
    System.out.println(text);
  }
  static Roi[] made() {
    int[] x = {8, 13, 8, 3}, y = {3, 8, 13, 8}, u = {2, 17, 11, 9, 4}, v = {1, 5, 20, 9, 14};
    ShapeRoi ring = new ShapeRoi(new Roi(15, 2, 9, 8)).xor(new ShapeRoi(new Roi(18, 4, 3, 3)));
    return new Roi[] {new PolygonRoi(x, y, 4, Roi.POLYGON), new PolygonRoi(u, v, 5, Roi.FREEROI),
      new OvalRoi(12, 9, 9, 12), new OvalRoi(1, 15, 6, 6), new Roi(20, 11, 4, 7), ring};
  }
  public static void main(String[] names) throws Exception {
    if (names.length > 1) {
      ZipOutputStream archive = new ZipOutputStream(new FileOutputStream(names[0]));
      int number = 0;
      for (Roi roi : made()) {
        roi.setName("000" + ++number);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new RoiEncoder(bytes).write(roi);
        archive.putNextEntry(new ZipEntry(roi.getName() + ".roi"));
        archive.write(bytes.toByteArray());
        archive.closeEntry();
        tell(roi);
      }
      archive.close();
      return;
    }
    ZipInputStream archive = new ZipInputStream(new FileInputStream(names[0]));
    for (ZipEntry entry = archive.getNextEntry(); entry != null; entry = archive.getNextEntry())
      tell(new RoiDecoder(archive.readAllBytes(), entry.getName()).getRoi());
  }
}
"""


@pytest.fixture
def imagej(tmp_path):
    """Run the program; return name, class and pixels of each ROI."""
    found = importlib.util.find_spec("prokaryote")
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if found is None or found.origin is None or java is None:
        pytest.skip("ImageJ and Java come with CellProfiler")
    (jar,) = Path(found.origin).parent.glob("prokaryote-*.jar")
    (tmp_path / "Rois.java").write_text(PROGRAM)

    def run(*arguments):
        command = [java, "-Djava.awt.headless=true", "-cp", str(jar), str(tmp_path / "Rois.java"), *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        told = {}
        for line in result.stdout.splitlines():
            name, category, places = line.split(";")
            mask = np.zeros(SHAPE[0] * SHAPE[1], bool)
            mask[[int(place) for place in places.split()]] = True
            told[int(name)] = category, mask.reshape(SHAPE)
        return told

    return run


def test_imagej_reads_what_nucdl_writes(tmp_path, imagej, peculiar):
    found = [
        AnnotatedObject(each.number, each.placed, "mitotic" if each.number == 5 else "")
        for each in objects_of("field", peculiar).objects
    ]
    rois.RoiSetWriter(tmp_path).add(AnnotatedObjects("field", SHAPE, tuple(found)))
    told = imagej(tmp_path / "field_RoiSet.zip")
    assert sorted(told) == [each.number for each in found]
    for number, (category, mask) in told.items():
        assert np.array_equal(mask, peculiar == number), number
        assert category == ("mitotic" if number == 5 else "null")


def test_nucdl_reads_what_imagej_writes(tmp_path, imagej, one_image):
    told = imagej(tmp_path / "field.zip", "make")
    found = one_image(rois.read_roi_set, tmp_path / "field.zip", ReadOptions(ImageSizes(size=SHAPE)))
    assert not found.notes
    assert [each.number for each in found.objects] == sorted(told) == [1, 2, 3, 4, 5, 6]
    for each in found.objects:
        mask = np.zeros(SHAPE, bool)
        mask[each.window] = each.placed.mask
        assert np.array_equal(mask, told[each.number][1]), each.number
