//! The command as a process: files, standard input, exit codes.
