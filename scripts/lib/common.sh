# Sourced by the scripts beside this folder. Owns: how to speak, wait, find a port, find Postgres, and know a process.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export root

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename "$0"): $*"
  exit 1
}

# Stays below the kernel's ephemeral range, so that no outgoing connection takes the port in between.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    answers "$port" || break
  done
  printf '%s\n' "$port"
}

# Does anything listen on this loopback port?
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_for SECONDS COMMAND...: true as soon as the command is, false when the time is up.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# alive PIDFILE MARK: the process runs, and its command line holds MARK (a number may have gone to a stranger since).
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2"
}

gone() { ! alive "$@"; }

# end PIDFILE MARK SECONDS: asks the process to end, and kills it when it did not in time.
end() {
  if alive "$1" "$2"; then
    kill -TERM "$(cat "$1")" 2>/dev/null || true
    wait_for "$3" gone "$1" "$2" || kill -KILL "$(cat "$1")" 2>/dev/null || true
  fi
  rm -f "$1"
}

# The programs of the newest installed Postgres server, 15 or newer.
postgres_bin() {
  local found
  found=$(
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin "$(dirname "$(command -v initdb || true)")"; do
      [[ -x $dir/initdb && -x $dir/pg_ctl && -x $dir/postgres ]] || continue
      # Links in a folder of the PATH may be there for some of the programs only.
      dir=$(dirname "$(readlink -f "$dir/initdb")")
      printf '%s %s\n' "$("$dir/postgres" --version | grep -oE '[0-9]+' | head -n 1)" "$dir"
    done | sort -rn | head -n 1
  )
  [[ -n $found && ${found%% *} -ge 15 ]] && printf '%s\n' "${found#* }"
}
