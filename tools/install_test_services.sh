#!/bin/sh
# Make sure that the tests find RabbitMQ, MariaDB and Chromium: installed here, or by the URLs of running
# servers in HASTE_TEST_BROKER_URL and HASTE_TEST_DATABASE_URL and a program in HASTE_TEST_BROWSER. As root
# on Debian and Ubuntu, what is missing is installed: Chromium's shell without windows takes 96 MB of the
# network and 306 MB of the disk. Ubuntu has Chromium only as a snap; there playwright installs its own. Only the programs are wanted: the tests start instances of their own,
# so RabbitMQ, MariaDB and Erlang's epmd are not started, now or at the next boot. What RabbitMQ's
# package depends on stays as Debian sets it up: logrotate, and cron where there is no systemd.
set -eu
cd "$(dirname "$0")/.."

policy=/usr/sbin/policy-rc.d
kept_policy=/usr/sbin/policy-rc.d.kept-by-haste
log=

forbid_daemons() {
    # What an earlier run kept, because it was killed, is the machine's own.
    [ -e "$kept_policy" ] || [ ! -e "$policy" ] || mv "$policy" "$kept_policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

finish() {
    status=$?
    rm -f "$policy"
    [ ! -e "$kept_policy" ] || mv "$kept_policy" "$policy"
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        echo "The packages for the tests could not be installed; apt's output stands above" >&2
    fi
    rm -f "$log"
}

is_known() {
    apt-cache show "$1" >/dev/null 2>&1
}

install_packages() {
    packages=
    [ -n "${HASTE_TEST_BROKER_URL-}" ] || packages=rabbitmq-server
    if [ -z "${HASTE_TEST_DATABASE_URL-}" ]; then
        # The core packages have no daemon; older Ubuntu releases have only the whole server.
        if is_known mariadb-server-core && is_known mariadb-client-core; then
            packages="$packages mariadb-server-core mariadb-client-core"
        else
            packages="$packages mariadb-server"
        fi
    fi
    if is_known chromium-headless-shell; then
        has_browser || packages="$packages chromium-headless-shell"
    fi
    # shellcheck disable=SC2086  # a list of packages, one word each
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends --no-upgrade \
        -o DPkg::Lock::Timeout=300 install $packages
}

has_browser() {
    .venv/bin/python -c 'from tests.services.browser import find_browser; find_browser()' 2>/dev/null
}

install_browser() {
    has_browser || .venv/bin/playwright install --with-deps chromium-headless-shell
}

has_daemon() {
    [ -e "/etc/init.d/$1" ] || [ -e "/lib/systemd/system/$1.service" ]
}

# Of the services named, print those that are not on this machine yet.
absent_daemons() {
    for service in "$@"; do
        has_daemon "$service" || echo "$service"
    done
}

keep_off_at_boot() {
    for service in "$@"; do
        [ ! -e "/etc/init.d/$service" ] || update-rc.d "$service" disable
        # As systemctl disables them; packages enable their units also where it is missing, as in containers.
        rm -f /etc/systemd/system/*.wants/"$service.service" /etc/systemd/system/*.wants/"$service.socket"
    done
}

# 1 means that a program is missing; what else is wrong, no package mends.
status=0
said=$(.venv/bin/python -m tests.services 2>&1) || status=$?
if [ "$status" -eq 0 ]; then
    exit 0
elif [ "$status" -ne 1 ]; then
    echo "$said" >&2
    exit "$status"
fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing RabbitMQ, MariaDB and Chromium for the tests" >&2
    # One at a time: two would take each other's policy for the machine's. The lock is on the folder of the
    # policy, so that none of our own stays behind.
    exec 9<"${policy%/*}"
    flock 9
    log=$(mktemp)
    trap finish EXIT
    trap 'exit 1' HUP INT TERM
    forbid_daemons
    # A daemon that was here before us is somebody's, and stays as it is.
    new_daemons=$(absent_daemons rabbitmq-server mariadb epmd)
    apt-get -qq update >>"$log" 2>&1
    install_packages >>"$log" 2>&1
    install_browser >>"$log" 2>&1
    # shellcheck disable=SC2086  # a list of services, one word each
    keep_off_at_boot $new_daemons >>"$log" 2>&1
fi

.venv/bin/python -m tests.services
