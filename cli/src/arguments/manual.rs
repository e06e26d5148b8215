//! The command lines of `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the completions of this command for a shell.
///
/// For example in `~/.bashrc`: source <(postwire completions bash)
#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Print the manual page of this command, or write a page for each subcommand into a folder.
#[derive(Args, Debug)]
pub(crate) struct ManArguments {
    /// The folder to write the pages into, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
