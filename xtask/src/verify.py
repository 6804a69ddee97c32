"""Compares an unpacked wheel folder with the RECORD that each wheel carries.

Usage: verify.py FOLDER PACKAGE==VERSION...
Sizes of every recorded file below torch/include, torch/lib and nvidia; SHA-256 of every shared
library there. Prints the first problem and exits 1, or prints what was checked.
"""

import base64
import csv
import hashlib
import os
import sys


def digest(path):
    """SHA-256 in RECORD's form: URL-safe base64 without padding."""
    state = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            state.update(chunk)
    return base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()


def main(folder, packages):
    files = libraries = 0
    for package in packages:
        name, version = package.split("==")
        info = "%s-%s.dist-info" % (name.replace("-", "_"), version)
        record = os.path.join(folder, info, "RECORD")
        if not os.path.isfile(record):
            sys.exit("%s is missing: no %s in it" % (record, package))
        with open(record, newline="") as rows:
            for path, recorded, size in csv.reader(rows):
                if not path.startswith(("torch/include/", "torch/lib/", "nvidia/")) or not size:
                    continue
                file = os.path.join(folder, path)
                if not os.path.isfile(file):
                    sys.exit("%s is missing" % path)
                if os.path.getsize(file) != int(size):
                    sys.exit("%s has %d bytes, its wheel says %s" % (path, os.path.getsize(file), size))
                files += 1
                if ".so" in os.path.basename(path):
                    if "sha256=" + digest(file) != recorded:
                        sys.exit("the SHA-256 of %s is not the one in its wheel" % path)
                    libraries += 1
    if libraries == 0:
        sys.exit("there is no shared library in it")
    print("%d files, %d libraries by SHA-256" % (files, libraries))


main(sys.argv[1], sys.argv[2:])
