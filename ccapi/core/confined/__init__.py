"""Work on bytes that nobody trusts, in a process of its own: decoders of pictures and recordings.

`bench` is the only door: it runs a function of one module on some bytes and gives back bytes. It is
done in two steps. A `keeper`, started with the first piece of work and kept, loads the module and
forks a process for each piece; it never touches the bytes. That process (`cell`) gives up all that
it does not need, works, answers and ends, so that no customer's bytes ever meet another's there,
whatever a library leaks or a bug does. Pipes' ends and a fork cost a few milliseconds a piece.

What such a process has:

- none of our environment, files, sockets or memory: it is forked from the keeper, which got a bare
  environment and no descriptor but its own, and knows neither Django nor our settings;
- one descriptor, its socket to us, and the right to no more: it opens no file and no connection;
- a limit of memory, of CPU seconds and of time; no child, no thread, no core file;
- under Linux: it ends with the keeper, which ends with us, however we end; nothing of its user may
  read our memory once we have a keeper (a debugger must be root's then); as root's child it becomes
  nobody first.

What this does not hold: system calls are not filtered (no seccomp), so a bug of the kernel is open
to remote code in a decoder. Where we are not root it has our user, and may send signals to our
processes, and read the memory of other programs of that user. It may lie about its own piece of
work: what it answers is as foreign as what it was given, and callers look at it. Where a limit is
not the system's (macOS has none of memory), the others hold.

Libraries were looked at: `concurrent.futures`, `billiard`, `pebble`, `loky` and `anyio.to_process`
take results by pickle, which hands our process to whoever has taken the worker, and inherit our
environment; `multiprocessing` has no children in a worker of Celery's.
"""
