//! Records: which are read of a store, all in order or those that may be sought?

use crate::audit::LogLine;
use crate::store::StoreError;
use crate::store::index::{INDEX, Row, STRETCH, Sought, stretch_of};
use crate::store::reader::{Reach, StoreReader};
use crate::store::rows::{Go, Log};
use crate::store::schema::{State, if_there, read_state};

/// How many records are read at a time, so that no reader keeps old pages of the database alive.
const READ_AT_ONCE: usize = 1000;

impl StoreReader {
    /// Reads the records in order, from the one with the number `from` on (the first is 1). The iterator reads the disk as it goes, and
    /// ends with the log. An error does not end it: stop there, or the place that failed is read again. [`StoreError::InArchive`] is the
    /// error if the record was archived: [`StoreReader::archived`] says up to which, and
    /// [`StoreReader::archived_among`] reads those.
    pub fn records(&self, from: u64) -> impl Iterator<Item = Result<LogLine, StoreError>> {
        let mut next = from.max(1);
        let mut lines = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if lines.len() == 0 {
                match self.some_records(next, READ_AT_ONCE) {
                    Ok(some) => lines = some.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
            }
            let line: LogLine = lines.next()?;
            next = line.sequence + 1;
            Some(Ok(line))
        })
    }

    /// Reads the records among these numbers that may be those that are sought, in order. Stretches of the log that have none are not read;
    /// other records come, too, so that whoever asks looks at each. An error ends nothing, as for [`StoreReader::records`].
    pub fn records_among(
        &self,
        numbers: std::ops::Range<u64>,
        sought: &Sought,
    ) -> impl Iterator<Item = Result<LogLine, StoreError>> {
        let mut next = numbers.start.max(1);
        let mut lines = Vec::new().into_iter();
        std::iter::from_fn(move || {
            while lines.len() == 0 && next < numbers.end {
                match self.some_sought(next, numbers.end, sought) {
                    Ok((some, then)) if then > next => (lines, next) = (some.into_iter(), then),
                    Ok(_) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
            lines.next().map(Ok)
        })
    }

    /// The next stretch that may have what is sought, and the number of the record after it.
    fn some_sought(
        &self,
        from: u64,
        end: u64,
        sought: &Sought,
    ) -> Result<(Vec<LogLine>, u64), StoreError> {
        let first = self.read(|reading| {
            let Some(index) = if_there(reading.open_table(INDEX))? else { return Ok(from) };
            let mut next = from;
            while next < end {
                let row = index.get(stretch_of(next))?;
                match row.and_then(|row| Row::parse(row.value())) {
                    Some(row) if row.last >= next && !row.may_have(sought) => next = row.last + 1,
                    _ => break,
                }
            }
            Ok(next)
        })?;
        let stop = ((stretch_of(first) + 1) * STRETCH + 1).min(end);
        let mut lines = self.some_records(first, STRETCH as usize)?;
        let then = match lines.last() {
            Some(last) => stop.min(last.sequence + 1),
            None => first,
        };
        lines.retain(|line| line.sequence < then);
        Ok((lines, then))
    }

    /// Returns the number of the last record, which is how many there are: 0 for none. It costs the same however many there are.
    pub fn last_record(&self) -> Result<u64, StoreError> {
        let newer = self.newer(Reach::Written)?.last().map_or(0, |entry| entry.sequence);
        Ok(newer.max(self.read(read_state)?.records))
    }

    fn some_records(&self, from: u64, at_most: usize) -> Result<Vec<LogLine>, StoreError> {
        let line = |sequence, json: Vec<u8>| -> Result<LogLine, StoreError> {
            let json = String::from_utf8(json)
                .map_err(|_| StoreError::Unreadable { what: "record", number: sequence })?;
            Ok(LogLine { sequence, json })
        };
        // What the journal has, before the database is looked at: what is taken over meanwhile is in both. Where the database alone
        // has enough, nobody reads the journal.
        let State { records: in_database, archived, .. } = self.read(read_state)?;
        // Whoever reads on must not pass over what has left meanwhile.
        if from <= archived {
            return Err(StoreError::InArchive { sequence: from, archived });
        }
        let newer = match from.saturating_add(at_most as u64) <= in_database {
            true => Vec::new(),
            false => self.newer(Reach::Written)?,
        };
        let newer = newer.iter().filter(|entry| entry.sequence >= from).take(at_most);
        let newer = newer.map(|entry| line(entry.sequence, entry.json.clone()));
        let newer = newer.collect::<Result<Vec<_>, _>>()?;
        let mut lines = self.read(|reading| {
            let mut lines = Vec::new();
            if at_most == 0 {
                return Ok(lines);
            }
            Log::open(reading)?.each(from, |sequence, _, json| {
                lines.push(line(sequence, json)?);
                Ok(if lines.len() < at_most { Go::On } else { Go::Stop })
            })?;
            Ok(lines)
        })?;
        if lines.len() < at_most {
            let next = lines.last().map_or(from, |last| last.sequence + 1);
            lines.extend(newer.into_iter().filter(|line| line.sequence >= next));
        }
        Ok(lines)
    }
}
