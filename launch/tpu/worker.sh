#!/bin/bash
# On every worker of a slice, beside the code: the run, which lives on when the connection that started it ends.
#   worker.sh start COMMAND...   stops what an earlier start left (kills it after a minute), then starts COMMAND
#   worker.sh state              "running", the exit code, or "none"
#   worker.sh stop               SIGTERM: save and exit; returns when it has
#   worker.sh log                what it has printed, as it comes
folder="$HOME/genera-run"
mkdir -p "$folder"

alive() { [ -s "$folder/pid" ] && kill -0 -- "-$(cat "$folder/pid")" 2> /dev/null; }

case "$1" in
  start)
    shift
    if alive; then kill -TERM -- "-$(cat "$folder/pid")"; fi
    for _ in $(seq 600); do alive || break; sleep 0.1; done
    while alive; do kill -KILL -- "-$(cat "$folder/pid")"; sleep 0.1; done
    rm -f "$folder/exit" "$folder/pid"
    # A session of its own, which the end of the connection leaves alone.  This shell outlives SIGTERM to see the code.
    setsid bash -c 'echo $$ > "$0/pid"; trap : TERM; "$@" >> "$0/log" 2>&1; echo $? > "$0/new"; mv "$0/new" "$0/exit"' \
      "$folder" "$@" < /dev/null > /dev/null 2>&1 &
    until [ -s "$folder/pid" ]; do sleep 0.1; done
    ;;
  state)
    if [ -e "$folder/exit" ]; then cat "$folder/exit"; elif alive; then echo running; else echo none; fi
    ;;
  stop)
    if alive; then kill -TERM -- "-$(cat "$folder/pid")"; fi
    while alive; do sleep 0.1; done
    ;;
  log)
    tail -n +1 -F "$folder/log"
    ;;
  *)
    echo "usage: worker.sh start COMMAND... | state | stop | log" >&2
    exit 2
    ;;
esac
