//! `completions` and `man`: what a package installs beside the command, made from the definition of
//! the command line, so that it is never out of date.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::arguments::manual::{CompletionsArguments, ManArguments};
use crate::print::exit::Exit;
use crate::print::output::{print_error, print_result};

/// Prints the completions for a shell.
pub(crate) fn print_completions(arguments: &CompletionsArguments) -> Exit {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "postwire", &mut script);
    show(&script)
}

/// Prints the page of the command, or writes all pages.
pub(crate) fn make_pages(arguments: &ManArguments) -> Exit {
    let made = match &arguments.folder {
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Arguments::command()).render(&mut page);
            rendered.map(|()| show(&page))
        }
        Some(folder) => write_pages(folder),
    };
    made.unwrap_or_else(|error| failed(&error))
}

/// Writes `postwire.1`, `postwire-send.1` and so on.
fn write_pages(folder: &Path) -> io::Result<Exit> {
    fs::create_dir_all(folder)?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().cloned();
    for page in subcommands.chain([command.clone()]) {
        let name = match page.get_name() {
            "postwire" => "postwire".to_owned(),
            subcommand => format!("postwire-{subcommand}"),
        };
        let path = folder.join(format!("{name}.1"));
        let mut octets = Vec::new();
        clap_mangen::Man::new(page.display_name(name)).render(&mut octets)?;
        fs::write(&path, octets)?;
        print_result(path.display());
    }
    Ok(Exit::Accepted)
}

fn show(octets: &[u8]) -> Exit {
    // A reader that closed its end of the pipe needs no more output.
    let _ = io::stdout().lock().write_all(octets);
    Exit::Accepted
}

fn failed(error: &io::Error) -> Exit {
    print_error(format_args!("cannot write: {error}"));
    Exit::System
}
