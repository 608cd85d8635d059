//! Words: what are the texts of a world folded to, each once, and within which bound?

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use biscuit_auth::datalog::{MapKey, SymbolTable, Term};

use crate::call::seen::{has_stand_in, unseen};
use crate::datalog::EvaluationError;
use crate::spelling::{MAX_FOLDED_BYTES, fold, fold_piece};

/// The first number that stands for a word which is not one of Biscuit's own.
const FIRST_NUMBER: u64 = 1024;

/// As many words are looked for one by one; more are put into the table at once.
const FEW_WORDS: usize = 16;

/// How a text is folded, by what a name has to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mode {
    /// A whole name: spaces around it say nothing.
    Whole,
    /// How a name begins: spaces before it say nothing.
    Start,
    /// How a name ends: spaces behind it say nothing.
    End,
    /// What a name has in it: all spaces are its own.
    Piece,
    /// A map in which a name is looked up: its keys alone.
    Keys,
}

impl Mode {
    /// The text so folded. One of spaces alone asks for spaces, and keeps them.
    fn apply(self, text: &str) -> Cow<'_, str> {
        let outer = |trim: fn(&str) -> &str| match fold_piece(text) {
            piece if trim(&piece).is_empty() => piece,
            piece => Cow::Owned(trim(&piece).to_owned()),
        };
        match self {
            Mode::Whole | Mode::Keys => fold(text),
            Mode::Start => outer(|piece| piece.trim_start_matches(' ')),
            Mode::End => outer(|piece| piece.trim_end_matches(' ')),
            Mode::Piece => fold_piece(text),
        }
    }
}

/// What words are folded to, by their numbers.
pub(super) type Folds = HashMap<(u64, Mode), u64>;

/// The words of a world, and what was folded of them so far.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) symbols: SymbolTable,
    /// The numbers of all words but Biscuit's own: the table looks for a word by going through all of them.
    index: HashMap<String, u64>,
    /// What is not in the table yet.
    new: Vec<String>,
    /// What is known of words from before, for whoever shares them.
    known: Arc<Folds>,
    folds: Folds,
    /// How many bytes of words that are not ASCII were folded, and how many may be: a token chooses them.
    bytes: usize,
    most: usize,
    /// A map has two keys that are one name, with different values.
    collided: bool,
    /// How many terms are not known folded.
    unseen: u64,
}

impl Words {
    /// Words of which a token or a call chooses some.
    pub(super) fn of(symbols: SymbolTable, known: &Arc<Folds>, bytes: usize) -> Words {
        let index = symbols.strings().into_iter().zip(FIRST_NUMBER..).collect();
        let known = Arc::clone(known);
        let (new, folds) = (Vec::new(), Folds::new());
        let (most, collided, unseen) = (MAX_FOLDED_BYTES, false, 0);
        Words { symbols, index, new, known, folds, bytes, most, collided, unseen }
    }

    /// Words of those who write policies: what is folded while a set is loaded has no bound but the set's.
    pub(super) fn of_policies(symbols: SymbolTable) -> Words {
        Words { most: usize::MAX, ..Words::of(symbols, &Arc::default(), 0) }
    }

    /// How many bytes that are not ASCII were folded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all was folded as it should be.
    pub(super) fn recorded(&self) -> Result<(), EvaluationError> {
        match (self.bytes > self.most, self.collided) {
            (true, _) => Err(EvaluationError::Exhausted),
            (false, true) => Err(EvaluationError::Failed),
            (false, false) => Ok(()),
        }
    }

    /// Whether a map that was folded since this was asked has two keys that are one name.
    pub(super) fn took_collision(&mut self) -> bool {
        std::mem::take(&mut self.collided)
    }

    /// All that is known of words now.
    pub(super) fn into_known(self) -> Arc<Folds> {
        if self.folds.is_empty() {
            return self.known;
        }
        let mut folds = Arc::unwrap_or_clone(self.known);
        folds.extend(self.folds);
        Arc::new(folds)
    }

    /// Puts new words into the table; says whether there were some.
    pub(super) fn flush(&mut self) -> bool {
        let new = std::mem::take(&mut self.new);
        // They are new, and each stands there once.
        let at_once = new.len() > FEW_WORDS
            && SymbolTable::from(new.clone())
                .is_ok_and(|table| self.symbols.extend(&table).is_ok());
        if !at_once {
            for word in &new {
                self.symbols.insert(word);
            }
        }
        !new.is_empty()
    }

    /// The text of a word of which nothing was folded.
    pub(super) fn text(&self, word: u64) -> Option<&str> {
        self.symbols.get_symbol(word)
    }

    /// The term with all its texts folded, at all depths. How a text is folded that is too large to be seen is not known, and neither is
    /// what such a term equals then.
    pub(super) fn term(&mut self, term: &Term, mode: Mode) -> Term {
        match mode != Mode::Keys && has_stand_in(term) {
            true => {
                self.unseen += 1;
                Term::Bytes(unseen(&self.unseen.to_be_bytes()))
            }
            false => self.folded(term, mode),
        }
    }

    fn folded(&mut self, term: &Term, mode: Mode) -> Term {
        match (term, mode) {
            (Term::Map(map), Mode::Keys) => {
                let mut folded: BTreeMap<MapKey, Term> = BTreeMap::new();
                for (key, value) in map {
                    let known = folded.insert(self.key(key), value.clone());
                    self.collided |= known.is_some_and(|known| known != *value);
                }
                Term::Map(folded)
            }
            (_, Mode::Keys) => term.clone(),
            (Term::Str(word), _) => Term::Str(self.word(*word, mode)),
            (Term::Set(set), _) => {
                Term::Set(set.iter().map(|term| self.folded(term, mode)).collect())
            }
            (Term::Array(array), _) => {
                Term::Array(array.iter().map(|term| self.folded(term, mode)).collect())
            }
            (Term::Map(map), _) => {
                let entries =
                    map.iter().map(|(key, value)| (self.key(key), self.term(value, mode)));
                Term::Map(entries.collect())
            }
            (term, _) => term.clone(),
        }
    }

    fn key(&mut self, key: &MapKey) -> MapKey {
        match key {
            MapKey::Str(word) => MapKey::Str(self.word(*word, Mode::Whole)),
            MapKey::Integer(key) => MapKey::Integer(*key),
        }
    }

    fn word(&mut self, word: u64, mode: Mode) -> u64 {
        let asked = (word, mode);
        if let Some(folded) = self.folds.get(&asked).or_else(|| self.known.get(&asked)) {
            return *folded;
        }
        let Some(written) = self.symbols.get_symbol(word) else { return word };
        if !written.is_ascii() {
            self.bytes = self.bytes.saturating_add(written.len());
            // The decision is refused for this, and no more is folded.
            if self.bytes > self.most {
                return word;
            }
        }
        let text = mode.apply(written);
        let folded = if *text == *written { word } else { self.number(text.into_owned()) };
        self.folds.insert(asked, folded);
        folded
    }

    pub(super) fn number(&mut self, text: String) -> u64 {
        if let Some(number) = self.index.get(&text) {
            return *number;
        }
        // One of Biscuit's own, which stand before all others.
        if let Some(number) = (0..FIRST_NUMBER)
            .map_while(|n| Some((n, self.symbols.get_symbol(n)?)))
            .find(|(_, own)| *own == text)
        {
            return number.0;
        }
        let number = FIRST_NUMBER + self.index.len() as u64;
        self.index.insert(text.clone(), number);
        self.new.push(text);
        number
    }
}
