//! Request: calls whose arguments are many, long or deep.

use hardtack::Call;

use crate::dice::Dice;

#[derive(Debug, Clone)]
pub struct Request {
    pub count: usize,
    pub kind: usize,
    pub width: usize,
    pub height: usize,
    pub bytes: usize,
    pub resource: usize,
}

/// What a call may have.
const MOST_BYTES: usize = 64 * 1024;

/// The kinds that have as many elements as is said, and those with texts as long.
const WIDE: [usize; 7] = [6, 7, 8, 9, 12, 16, 17];
const LONG: [usize; 9] = [1, 2, 3, 4, 5, 7, 13, 14, 17];

/// How many kinds of arguments there are.
const KINDS: usize = 18;

impl Request {
    pub fn random(dice: &mut Dice) -> Request {
        Request {
            count: 1 + dice.below(20),
            kind: dice.below(KINDS),
            width: dice.below(64),
            height: dice.below(8),
            bytes: dice.below(200),
            resource: 0,
        }
    }

    pub fn mutate(&mut self, dice: &mut Dice) {
        match dice.below(6) {
            0 => self.count = dice.near(self.count, 1000),
            1 => self.kind = dice.below(KINDS),
            2 => self.width = dice.near(self.width, 1000),
            3 => self.height = dice.near(self.height, 31),
            4 => self.bytes = dice.near(self.bytes, 65_000),
            _ => self.resource = dice.near(self.resource, 7900),
        }
    }

    /// The arguments, cut down to what a call may have.
    pub fn arguments(&self) -> String {
        let mut request = self.clone();
        // Before anything is written: the three together can come to gigabytes.
        while request.estimate() > 2 * MOST_BYTES {
            let sizes = [&mut request.count, &mut request.width, &mut request.bytes];
            if let Some(size) = sizes.into_iter().max() {
                *size = *size * 9 / 10;
            }
        }
        loop {
            let text = request.written();
            let call = Call::tool("search").map(|call| call.arguments(&text));
            if matches!(call, Ok(Ok(_))) || request.count == 0 {
                return text;
            }
            if request.count > 1 {
                request.count = request.count * 9 / 10;
            } else {
                request.width = request.width * 9 / 10;
                request.bytes = request.bytes * 9 / 10;
                if request.width == 0 && request.bytes == 0 {
                    request.count = 0;
                }
            }
        }
    }

    /// At least roughly how many bytes will be written.
    fn estimate(&self) -> usize {
        let width = if WIDE.contains(&self.kind) { self.width } else { 1 };
        let bytes = if LONG.contains(&self.kind) { self.bytes } else { 1 };
        self.count.saturating_mul(width).saturating_mul(bytes)
    }

    pub fn resource(&self) -> Option<String> {
        (self.resource > 0).then(|| format!("https://a.b/{}", "a".repeat(self.resource)))
    }

    fn written(&self) -> String {
        let arguments = (0..self.count).map(|at| format!("\"a{at}\":{}", self.value(at)));
        format!("{{{}}}", arguments.collect::<Vec<_>>().join(","))
    }

    fn value(&self, at: usize) -> String {
        let many = |element: &dyn Fn(usize) -> String| {
            (0..self.width).map(element).collect::<Vec<_>>().join(",")
        };
        let height = self.height.clamp(1, 31);
        let long = |piece: &str| piece.repeat(self.bytes / piece.len() + 1);
        match self.kind {
            0 => at.to_string(),
            1 => format!("\"{}\"", long("a")),
            2 => format!("\"{}{at:04}\"", long("a")),
            3 => format!("\"{}\"", long("/a")),
            4 => format!("\"https://a.b/{}\"", long("a%20/")),
            5 => format!("\"https://a.b/{}\"", long("a")),
            6 => format!("[{}]", many(&|at| at.to_string())),
            7 => format!("[{}]", many(&|other| format!("\"{}{at:03}{other:04}\"", long("a")))),
            8 => format!("{{{}}}", many(&|at| format!("\"k{at}\":{at}"))),
            9 => format!(
                "{{{}}}",
                many(&|other| format!("\"k{at:03}{other:04}\":\"v{at:03}{other:04}\""))
            ),
            10 => format!("{}1{}", "[".repeat(height), "]".repeat(height)),
            11 => format!("{}1{}", "{\"k0\":".repeat(height), "}".repeat(height)),
            12 => format!("[{}]", many(&|_| "{\"k0\":1}".to_owned())),
            13 => format!("\"{}\"", long("\u{e9}")),
            14 => format!("\"/{}\"", long("\u{2c00}/")),
            15 => format!("\"2001:db8::{:x}\"", at % 65536),
            16 => format!("[{}]", many(&|_| "\"aaaaaaaa\"".to_owned())),
            _ => format!("[{}]", many(&|_| format!("\"{}\"", long("/a")))),
        }
    }
}
