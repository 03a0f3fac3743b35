#!/bin/sh
# Installs the programs that only tests start: Orthanc with its DICOMweb plug-in, and dcmtk. It does nothing where they
# are there, and where there is no apt-get or no root; the tests that need them are then skipped with the reason.
# It never fails, and it leaves no service of Debian running.
PLUGIN=/usr/share/orthanc/plugins/libOrthancDicomWeb.so
POLICY=${POLICY_RC_D:-/usr/sbin/policy-rc.d}

if command -v Orthanc >/dev/null && command -v storescu >/dev/null && test -e "$PLUGIN"; then exit 0; fi
if ! command -v apt-get >/dev/null || test "$(id -u)" != 0; then
    echo "Orthanc and dcmtk are not installed, and only root can install them: tests that need them are skipped"
    exit 0
fi

ours=no
if ! test -e "$POLICY"; then  # while this file is there, Debian starts no service after an installation
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
fi
trap 'test $ours = no || rm -f "$POLICY"' EXIT
trap 'exit 0' INT TERM
install() {
    DEBIAN_FRONTEND=noninteractive timeout 300 apt-get "$@" >/dev/null 2>&1 </dev/null
}
programs="install -qq -y --no-install-recommends orthanc orthanc-dicomweb dcmtk"
# shellcheck disable=SC2086 # the words are arguments
if ! install $programs && ! { install -qq update && install $programs; }; then
    echo "Orthanc and dcmtk could not be installed: tests that need them are skipped"
    exit 0
fi
# The tests start an Orthanc of their own; that of Debian must not start at boot either.
if test -d /run/systemd/system; then systemctl disable --now orthanc >/dev/null 2>&1; fi
if command -v update-rc.d >/dev/null; then update-rc.d orthanc disable >/dev/null 2>&1; fi
exit 0
