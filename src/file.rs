//! File: what is read is a regular file of bounded size, and is opened without waiting.
//!
//! A pipe that nobody writes to, a device that never ends and a link to somebody else's file all have a path. What is
//! opened by its path is checked on the open file, and not on the path, so that nothing can change in between (no race
//! between time of check and time of use).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// How much room there is at once for what a file holds: more than a key file may have.
const ROOM_BYTES: u64 = 32 * 1024;

/// Opens the regular file at `path` for reading. Never waits, also where the path is a pipe into which nobody writes.
///
/// # Errors
///
/// Those of the operating system, and [`io::ErrorKind::InvalidInput`] for a pipe, a device, a socket or a folder.
pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, at_once().bits().cast_signed());
    regular(options.open(path)?)
}

/// Reads the regular file at `path`, of at most `at_most` bytes, and returns its bytes.
///
/// # Errors
///
/// Those of [`open`], and [`io::ErrorKind::FileTooLarge`] if the file has more bytes.
pub(crate) fn read(path: impl AsRef<Path>, at_most: u64) -> io::Result<Vec<u8>> {
    read_all(open(path)?, at_most)
}

/// Reads the regular file at `path`, of at most `at_most` bytes, as text in UTF-8. A byte order mark at its beginning
/// is left out.
///
/// # Errors
///
/// Those of the operating system, [`io::ErrorKind::FileTooLarge`] if the file has more bytes, and [`io::ErrorKind::InvalidData`] if the file is no text in UTF-8.
pub fn read_text(path: impl AsRef<Path>, at_most: u64) -> io::Result<String> {
    text(read(path, at_most)?)
}

/// Reads the regular file or the pipe at `path`, of at most `at_most` bytes, as text in UTF-8. A pipe is read to its
/// end, and this waits for whoever writes into it: it is for what a person hands to a command once, as in `--key <(…)`.
///
/// # Errors
///
/// Those of [`read_text`].
pub fn read_text_or_pipe(path: impl AsRef<Path>, at_most: u64) -> io::Result<String> {
    text(read_all(open_or_pipe(path)?, at_most)?)
}

/// Opens the regular file or the pipe at `path`, for what is read line by line. Waits for whoever writes into a pipe.
///
/// # Errors
///
/// Those of the operating system, and [`io::ErrorKind::InvalidInput`] for a device, a socket or a folder.
pub fn open_or_pipe(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    // Opened and closed again, a pipe would be broken for whoever writes into it, and then wait for another one.
    if is_pipe(&std::fs::metadata(path)?) {
        return pipe(path);
    }
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => pipe(path),
        opened => opened,
    }
}

/// Reads the file `inner` of `folder`, of at most `at_most` bytes, as text in UTF-8. Links are followed only within the
/// folder.
///
/// # Errors
///
/// Those of [`read_text`], and [`io::ErrorKind::InvalidInput`] for a link out of the folder.
pub(crate) fn read_text_beneath(
    folder: impl AsRef<Path>,
    inner: impl AsRef<Path>,
    at_most: u64,
) -> io::Result<String> {
    text(read_all(regular(beneath::open(here(folder.as_ref()), inner.as_ref())?)?, at_most)?)
}

/// Whether no link between a folder and `path`, which is a folder in it, leads out of it. Says nothing of later
/// moments.
pub(crate) fn check_beneath(folder: &Path, path: &Path) -> io::Result<()> {
    match path.canonicalize()?.starts_with(here(folder).canonicalize()?) {
        true => Ok(()),
        false => Err(leads_out()),
    }
}

/// The folder of a file that is named without one.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// What an open file holds, if that is at most `at_most` bytes.
pub(crate) fn read_all(file: File, at_most: u64) -> io::Result<Vec<u8>> {
    // Room at once, so that a secret leaves no copies where it grew.
    let mut bytes = Vec::with_capacity(at_most.saturating_add(1).min(ROOM_BYTES) as usize);
    file.take(at_most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > at_most {
        true => Err(too_large(at_most)),
        false => Ok(bytes),
    }
}

pub(crate) fn too_large(at_most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {at_most} bytes"))
}

/// What an error of the operating system means for whoever named the path, to stand before it.
pub(crate) fn meaning(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            " is not there; look at the path: without / in front, it begins in the folder where this runs"
        }
        io::ErrorKind::AlreadyExists => {
            " is there already, and nothing is replaced; choose a name that is free"
        }
        io::ErrorKind::PermissionDenied => {
            " may not be read or written by this user; look at its rights and those of its folder"
        }
        io::ErrorKind::NotADirectory => {
            " is no folder, or leads through what is none; look at the path"
        }
        io::ErrorKind::IsADirectory => " is a folder, where a file belongs; look at the path",
        io::ErrorKind::ReadOnlyFilesystem => " is on a disk that can only be read",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " is on a disk that is full; free some space"
        }
        _ => "",
    }
}

/// What some systems begin a text with.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns `bytes` as text in UTF-8, without the byte order mark with which some systems begin a text.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if the bytes are no text in UTF-8. The message says so, or that they look like
/// UTF-16.
pub fn text(mut bytes: Vec<u8>) -> io::Result<String> {
    const UTF_8: &[u8] = b"\xef\xbb\xbf";
    const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
    let wrong = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
    if UTF_16.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(wrong("it is text in UTF-16, as PowerShell writes it; save it as UTF-8"));
    }
    if bytes.starts_with(UTF_8) {
        bytes.drain(..UTF_8.len());
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is no text in UTF-8"))
}

fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file; pipes, devices and folders are not read here",
        )),
    }
}

/// A pipe, and nothing else that is no regular file.
#[cfg(unix)]
fn pipe(path: &Path) -> io::Result<File> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file and no pipe");
    if !is_pipe(&std::fs::metadata(path)?) {
        return Err(wrong());
    }
    let file = File::open(path)?;
    match is_pipe(&file.metadata()?) {
        true => Ok(file),
        false => regular(file),
    }
}

#[cfg(not(unix))]
fn pipe(path: &Path) -> io::Result<File> {
    regular(File::open(path)?)
}

#[cfg(unix)]
fn is_pipe(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&file.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}

/// Neither waits for the other end of a pipe, nor makes a terminal this process's own.
#[cfg(unix)]
fn at_once() -> rustix::fs::OFlags {
    rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY
}

fn leads_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is a link out of the set's folder, which is not followed; put the file itself there",
    )
}

/// Beneath: a file of a folder, and not one to which a link in it leads.
#[cfg(target_os = "linux")]
mod beneath {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;

    /// How often it is tried again when the folder is exchanged meanwhile, which takes a moment.
    const TRIES: usize = 8;

    /// The kernel resolves the links, so that nobody can exchange one between a look and the opening.
    pub(super) fn open(folder: &Path, inner: &Path) -> io::Result<File> {
        let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(folder, path, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | super::at_once();
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = (0..TRIES).map(|_| openat2(&top, inner, flags, Mode::empty(), resolve));
        match tries.find(|opened| !matches!(opened, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
        {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::XDEV | Errno::LOOP) => Err(super::leads_out()),
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => super::resolved(folder, inner),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod beneath {
    pub(super) use super::resolved as open;
}

/// Where the kernel has no such call: the links are looked up first. Whoever can exchange files of the folder at the
/// right moment gets around it.
fn resolved(folder: &Path, inner: &Path) -> io::Result<File> {
    let path = folder.join(inner).canonicalize()?;
    check_beneath(folder, &path)?;
    open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn fifo(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn kind<T>(read: io::Result<T>) -> io::ErrorKind {
        read.map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn a_pipe_a_device_and_a_folder_are_no_regular_files() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        fifo(&pipe);
        for path in [pipe.as_path(), Path::new("/dev/zero"), Path::new("/dev/null"), folder.path()]
        {
            assert_eq!(kind(read(path, 10)), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        for path in [Path::new("/dev/zero"), Path::new("/dev/null"), folder.path()] {
            assert_eq!(kind(read_text_or_pipe(path, 10)), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_file_has_at_most_as_many_bytes_as_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "0123456789");
        assert_eq!(kind(read(&path, 9)), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(read_text_or_pipe(&path, 9)), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(read_text_beneath(folder.path(), "file", 9)), io::ErrorKind::FileTooLarge);
        fs::write(&path, b"\xef\xbb\xbfa").unwrap();
        assert_eq!(read_text(&path, 9).unwrap(), "a");
        fs::write(&path, b"\xff\xfea\0").unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-16"));
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(kind(read_text(&path, 9)), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_pipe_is_read_where_one_is_asked_for_and_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        fifo(&pipe);
        for (text, expected) in
            [("secret", Ok("secret")), ("0123456789a", Err(io::ErrorKind::FileTooLarge))]
        {
            let writer = std::thread::spawn({
                let pipe = pipe.clone();
                move || fs::write(pipe, text)
            });
            let read = read_text_or_pipe(&pipe, 10);
            let _ = writer.join().unwrap();
            assert_eq!(read.as_deref().map_err(io::Error::kind), expected);
        }
    }

    /// Whoever writes into the pipe already waits for its reader when it is looked at.
    #[test]
    fn a_pipe_is_opened_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        fifo(&pipe);
        for round in 0..200 {
            let writer = std::thread::spawn({
                let pipe = pipe.clone();
                move || fs::write(pipe, "secret")
            });
            if round % 2 == 0 {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            let (told, read) = std::sync::mpsc::channel();
            std::thread::spawn({
                let pipe = pipe.clone();
                move || told.send(read_text_or_pipe(pipe, 10))
            });
            let read = read.recv_timeout(std::time::Duration::from_secs(20));
            assert_eq!(read.expect("it ends").unwrap(), "secret", "round {round}");
            writer.join().unwrap().unwrap();
        }
    }

    #[test]
    fn links_are_followed_within_a_folder_and_not_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("set")).unwrap();
        fs::create_dir(at("set/..1")).unwrap();
        fs::write(at("secret"), "secret").unwrap();
        fs::write(at("set/..1/a"), "inside").unwrap();
        symlink("..1", at("set/..data")).unwrap();
        symlink("..data/a", at("set/a")).unwrap();
        symlink("../secret", at("set/out")).unwrap();
        symlink(at("secret"), at("set/absolute")).unwrap();
        symlink("..", at("set/up")).unwrap();
        fifo(&at("set/pipe"));
        let set = at("set");
        for open in [beneath::open, resolved] {
            let read = |name: &str| text(read_all(regular(open(&set, Path::new(name))?)?, 10)?);
            assert_eq!(read("a").unwrap(), "inside");
            for name in ["out", "absolute", "up/secret", "../secret", "pipe"] {
                assert_eq!(kind(read(name)), io::ErrorKind::InvalidInput, "{name}");
            }
            assert_eq!(kind(read("nothing")), io::ErrorKind::NotFound);
        }
    }
}
