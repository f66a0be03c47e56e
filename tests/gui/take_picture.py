"""Writes what is on the whole screen into a PNG file. Usage: take_picture.py FILE.

It is a program of its own, since wxPython sees the screen as it was when a process first looked at it.
"""

import sys

import wx


def take_picture(path):
    screen = wx.ScreenDC()
    size = screen.GetSize()
    bitmap = wx.Bitmap(size.width, size.height)
    memory = wx.MemoryDC(bitmap)
    memory.Blit(0, 0, size.width, size.height, screen, 0, 0)
    memory.SelectObject(wx.NullBitmap)
    bitmap.SaveFile(path, wx.BITMAP_TYPE_PNG)


if __name__ == "__main__":
    app = wx.App()
    take_picture(sys.argv[1])
