//! Engine time of the sandbox: `base + (real - base_real) * speed`, where the speed can change at any moment.
//!
//! It never goes backwards, over restarts neither: it never passes a mark that is not on disk yet, and starts from there.
//! A clock that always ran at speed 1 writes no file and is the machine's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use tokio_util::sync::CancellationToken;

use super::mark::MarkFile;
use super::wall;

/// Fastest speed: a day in about nine seconds.
pub const FASTEST: f64 = 10_000.0;
/// How much real time a mark on disk is good for.
const MARK_LASTS: Duration = Duration::from_secs(20);
/// How often the mark is renewed; a third of its life, so that one slow write stops no clock.
const MARK_EVERY: Duration = Duration::from_secs(6);

/// Why the clock does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("the clock's speed must be from 1 to {FASTEST}, not {asked}")]
    Speed { asked: f64 },
    #[error("engine time cannot be kept in {}", path.display())]
    Mark { path: PathBuf, source: io::Error },
    #[error("the engine time of this data folder was accelerated to {engine_time}, which is still to come")]
    Ahead { engine_time: DateTime<Utc> },
}

impl ClockError {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Speed { .. } => "CLOCK_SPEED_INVALID",
            Self::Mark { .. } => "CLOCK_MARK_UNWRITABLE",
            Self::Ahead { .. } => "CLOCK_AHEAD",
        }
    }
}

/// Real time since some fixed moment; a test brings its own.
type RealTime = Arc<dyn Fn() -> Duration + Send + Sync>;

struct Pace {
    base: DateTime<Utc>,
    base_real: Duration,
    speed: f64,
    latest: DateTime<Utc>,
    /// Engine time does not pass this; `None` while engine time is the machine's.
    mark: Option<DateTime<Utc>>,
}

/// The sandbox's clock.
pub struct ScaledClock {
    pace: Mutex<Pace>,
    /// Taken before `pace`, and held from reading the time to raising the mark: marks reach the disk in order.
    file: Mutex<MarkFile>,
    real: RealTime,
}

impl ScaledClock {
    /// Continues from the mark in `file`, or from the machine's time when that is later.
    pub fn open(file: &Path, speed: f64) -> Result<Self, ClockError> {
        let start = Instant::now();
        Self::open_with(file, speed, wall(), Arc::new(move || start.elapsed()))
    }

    fn open_with(file: &Path, speed: f64, wall: DateTime<Utc>, real: RealTime) -> Result<Self, ClockError> {
        let file = MarkFile::new(file);
        let mark = file.read().map_err(|source| ClockError::Mark { path: file.path().to_path_buf(), source })?;
        let ahead = mark.filter(|mark| *mark > wall);
        let base = ahead.unwrap_or(wall);
        let pace = Pace { base, base_real: real(), speed: 1.0, latest: base, mark: ahead };
        let clock = Self { pace: Mutex::new(pace), file: Mutex::new(file), real };
        if ahead.is_some() {
            clock.renew_mark()?;
        }
        clock.set_speed(speed)?;
        Ok(clock)
    }

    /// Refuses a folder whose engine time is ahead of the machine's: with a real platform they are the same.
    pub fn refuse_if_ahead(file: &Path) -> Result<(), ClockError> {
        let file = MarkFile::new(file);
        let mark = file.read().map_err(|source| ClockError::Mark { path: file.path().to_path_buf(), source })?;
        match mark.filter(|mark| *mark > wall()) {
            Some(engine_time) => Err(ClockError::Ahead { engine_time }),
            None => Ok(()),
        }
    }

    /// Changes the speed from now on.
    pub fn set_speed(&self, speed: f64) -> Result<(), ClockError> {
        if !(1.0..=FASTEST).contains(&speed) {
            return Err(ClockError::Speed { asked: speed });
        }
        let file = lock(&self.file);
        let mut pace = lock(&self.pace);
        let now = pace.at((self.real)());
        if speed > 1.0 || pace.mark.is_some() {
            pace.mark = Some(write_mark(&file, now, speed)?);
        }
        pace.base = now;
        pace.base_real = (self.real)();
        pace.speed = speed;
        Ok(())
    }

    /// Renews the mark until stopped; then leaves the exact time for the next start.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(MARK_EVERY) => {}
            }
            self.in_background("engine time stands still until it can be kept", Self::renew_mark).await;
        }
        self.in_background("the next start is a little later in engine time", Self::stop_here).await;
    }

    async fn in_background(self: &Arc<Self>, else_: &'static str, act: fn(&Self) -> Result<(), ClockError>) {
        let clock = self.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || act(&clock)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "{else_}");
        }
    }

    fn renew_mark(&self) -> Result<(), ClockError> {
        let file = lock(&self.file);
        let Some((now, speed)) = self.marked() else { return Ok(()) };
        let mark = write_mark(&file, now, speed)?;
        lock(&self.pace).mark = Some(mark);
        Ok(())
    }

    /// Writes the time as it is and holds the clock there.
    fn stop_here(&self) -> Result<(), ClockError> {
        let file = lock(&self.file);
        let mut pace = lock(&self.pace);
        if pace.mark.is_some() {
            let now = pace.at((self.real)());
            write(&file, now)?;
            pace.mark = Some(now);
        }
        Ok(())
    }

    /// The time and the speed, when engine time is not simply the machine's.
    fn marked(&self) -> Option<(DateTime<Utc>, f64)> {
        let mut pace = lock(&self.pace);
        pace.mark?;
        Some((pace.at((self.real)()), pace.speed))
    }
}

fn write_mark(file: &MarkFile, now: DateTime<Utc>, speed: f64) -> Result<DateTime<Utc>, ClockError> {
    let mark = now + scaled(MARK_LASTS, speed);
    write(file, mark)?;
    Ok(mark)
}

fn write(file: &MarkFile, mark: DateTime<Utc>) -> Result<(), ClockError> {
    file.write(mark).map_err(|source| ClockError::Mark { path: file.path().to_path_buf(), source })
}

/// Nothing panics while these locks are held, and what they guard is valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pace {
    fn at(&mut self, real: Duration) -> DateTime<Utc> {
        let mut now = self.base + scaled(real.saturating_sub(self.base_real), self.speed);
        if let Some(mark) = self.mark {
            now = now.min(mark);
        }
        self.latest = self.latest.max(now);
        self.latest
    }
}

fn scaled(length: Duration, speed: f64) -> TimeDelta {
    TimeDelta::from_std(length.mul_f64(speed)).unwrap_or(TimeDelta::MAX)
}

impl Clock for ScaledClock {
    fn now(&self) -> DateTime<Utc> {
        let mut pace = lock(&self.pace);
        pace.at((self.real)())
    }

    fn speed(&self) -> f64 {
        lock(&self.pace).speed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Real seconds that a test sets.
    #[derive(Clone, Default)]
    struct Seconds(Arc<AtomicU64>);

    impl Seconds {
        fn set(&self, seconds: u64) {
            self.0.store(seconds, Ordering::SeqCst);
        }

        fn real(&self) -> RealTime {
            let seconds = self.0.clone();
            Arc::new(move || Duration::from_secs(seconds.load(Ordering::SeqCst)))
        }
    }

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a valid instant")
    }

    fn open(folder: &tempfile::TempDir, speed: f64, seconds: &Seconds) -> ScaledClock {
        let file = folder.path().join("clock.json");
        ScaledClock::open_with(&file, speed, start(), seconds.real()).expect("the clock opens")
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn time_follows_the_speed_and_its_changes() {
        let (folder, seconds) = (folder(), Seconds::default());
        let clock = open(&folder, 60.0, &seconds);
        seconds.set(10);
        assert_eq!(clock.now() - start(), TimeDelta::minutes(10));
        clock.set_speed(1.0).expect("a valid speed");
        seconds.set(15);
        assert_eq!(clock.now() - start(), TimeDelta::seconds(605));
    }

    #[test]
    fn clock_that_was_never_fast_leaves_no_file() {
        let (folder, seconds) = (folder(), Seconds::default());
        let clock = open(&folder, 1.0, &seconds);
        seconds.set(100);
        assert_eq!(clock.now() - start(), TimeDelta::seconds(100));
        assert!(!folder.path().join("clock.json").exists());
    }

    #[test]
    fn clock_never_passes_what_is_on_disk() {
        let (folder, seconds) = (folder(), Seconds::default());
        let clock = open(&folder, 60.0, &seconds);
        seconds.set(1_000);
        assert_eq!(clock.now() - start(), scaled(MARK_LASTS, 60.0));
    }

    #[test]
    fn restart_after_a_crash_does_not_go_back() {
        let (folder, seconds) = (folder(), Seconds::default());
        let before = {
            let clock = open(&folder, 600.0, &seconds);
            seconds.set(19);
            clock.now()
        };
        assert!(open(&folder, 1.0, &Seconds::default()).now() >= before);
    }

    #[test]
    fn restart_after_a_stop_continues_from_the_same_instant() {
        let (folder, seconds) = (folder(), Seconds::default());
        let clock = open(&folder, 600.0, &seconds);
        seconds.set(5);
        clock.stop_here().expect("the file is written");
        let stopped = clock.now();
        assert_eq!(open(&folder, 1.0, &Seconds::default()).now(), stopped);
    }

    #[test]
    fn speeds_that_make_no_sense_are_refused() {
        let (folder, seconds) = (folder(), Seconds::default());
        let clock = open(&folder, 1.0, &seconds);
        for speed in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY, 10_001.0] {
            let error = clock.set_speed(speed).expect_err("not a speed");
            assert_eq!(error.code(), "CLOCK_SPEED_INVALID");
        }
        assert!((clock.speed() - 1.0).abs() < f64::EPSILON);
    }
}
