#!/usr/bin/env bash
# Installs the Debian packages lychgate needs: bash tests/install.sh build|tidy|compare|all
# Owns the package lists. Asks apt only when something is missing, starts no service (a policy-rc.d
# of its own, put back afterwards) and stops none. Mail servers that Debian does not let be installed
# beside Postfix are only unpacked, into build/packages.
set -euo pipefail

build=(cmake ninja-build g++ pkg-config liburing-dev libldns-dev liblmdb-dev libmimalloc-dev
  libfmt-dev prometheus-cpp-dev libtomlplusplus-dev libcli11-dev libexpected-dev libgtest-dev
  libgmock-dev libbenchmark-dev ccache git python3)
tidy=(clang clang-tidy)
tests=(postfix swaks haproxy rbldnsd unbound procps util-linux prometheus jq zsh fish
  openssl curl msmtp nmap libnet-ssleay-perl)
# All provide mail-transport-agent, so each conflicts with Postfix; and the libraries they need.
# The light Exim cannot read a PROXY header.
unpacked=(exim4-daemon-heavy opensmtpd)
libraries=(libdb5.3 libevent-2.1-7 libgnutls-dane0 libgnutls30 libidn12 libidn2-0 libldap-2.5-0
  libmariadb3 libnsl2 libpam0g libpcre2-8-0 libperl5.36 libpq5 libsasl2-2 libspf2-2 libsqlite3-0
  libssl3)
compare=(gnuplot-nox haproxy postfix rbldnsd iproute2 python3)

to_unpack=()
case "${1:-all}" in
  build) wanted=("${build[@]}") ;;
  tidy) wanted=("${build[@]}" "${tidy[@]}") ;;
  compare) wanted=("${compare[@]}") ;;
  all)
    wanted=("${build[@]}" "${tests[@]}" "${libraries[@]}" "${compare[@]}")
    to_unpack=("${unpacked[@]}")
    ;;
  *) echo "usage: bash tests/install.sh build|tidy|compare|all" >&2; exit 64 ;;
esac

folder="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/packages"
updated=no

update_once() {
  [[ $updated == yes ]] || "${as_root[@]}" apt-get update -q
  updated=yes
}

# A folder of that name appears when all of the package is in it.
unpack() {
  local work
  for package in "${to_unpack[@]}"; do
    [[ ! -d $folder/$package ]] || continue
    echo "unpacking $package into $folder"
    update_once
    mkdir -p "$folder"
    work=$(mktemp -d "$folder/.XXXXXX")
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -q "$package" && dpkg -x ./*.deb files)
    chmod 755 "$work/files"
    mv "$work/files" "$folder/$package"
    rm -r "$work"
  done
}

missing=()
not_there=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
for package in "${to_unpack[@]}"; do
  [[ -d $folder/$package ]] || not_there+=("$package")
done
if ((${#missing[@]} + ${#not_there[@]} == 0)); then exit 0; fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "missing ${missing[*]} ${not_there[*]}: install them as root" >&2
    exit 77
  }
  as_root=(sudo)
fi
unpack
if ((${#missing[@]} == 0)); then exit 0; fi
echo "installing ${missing[*]}"

# invoke-rc.d asks this file before it starts anything a package brings; 101 means no.
policy=/usr/sbin/policy-rc.d
kept=
put_back() {
  "${as_root[@]}" rm -f "$policy"
  [[ -z $kept ]] || "${as_root[@]}" mv "$kept" "$policy"
}
if [[ -e $policy || -L $policy ]]; then
  kept=$policy.before-lychgate
  "${as_root[@]}" mv "$policy" "$kept"
fi
trap put_back EXIT
printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
"${as_root[@]}" chmod 755 "$policy"

# Left to itself the package would configure a mail server; the tests bring their own configuration.
if [[ " ${missing[*]} " == *" postfix "* ]]; then
  echo 'postfix postfix/main_mailer_type select No configuration' |
    "${as_root[@]}" debconf-set-selections
fi
update_once
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
