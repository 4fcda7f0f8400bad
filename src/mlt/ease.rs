//! Whose queue it is: how long datagrams queue does not tell whether they do so at a port that all share or, each on
//! its own, on the ways to single workers. It is tried out: a port that was full carries no more if a longer queue
//! stands.
//!
//! ```text
//!            measured              settled             measured, and it was worth it
//!  as it is ----------> (change) ----------> changed ---------------------------------> as it is now
//!      ^                                        | it was not, or more was lost (even later)
//!      +------- a while, longer each time ------+
//! ```

/// Epochs over which a rate is measured.
const MEASURED: u32 = 12;
/// Epochs that a window gets to follow.
const SETTLED: u32 = 8;
/// Epochs before the first try: what was learnt until then is of a network without a queue.
const FIRST: u32 = 128;
/// Epochs between a try that was in vain, and may have cost losses, and the next one, at first...
const PAUSE_MIN: u32 = 4096;
/// ...doubled each time up to so many.
const PAUSE_MAX: u32 = 65_536;
/// What a longer queue must gain to be kept,
const GAIN: f64 = 1.1;
/// and what a shorter one must still carry.
const KEPT: f64 = 0.95;
/// A longer queue is given up where so much more of the datagrams is lost,
const LOST: f64 = 0.005;
/// and so many more, and standard deviations, which may be chance.
const LOST_BY_CHANCE: f64 = 8.0;
const LOST_DEVIATIONS: f64 = 3.0;
/// Losses are counted over so many datagrams at most: what was long ago excuses nothing.
const LOST_OF: f64 = 4096.0;
/// The longest queue that is tried: so many times the usual one.
const MOST: f64 = 16.0;

/// How much longer than usual a queue may stand, and what is being tried about that.
#[derive(Clone, Debug)]
pub(super) struct Ease {
    factor: f64,
    /// Of a try, what was before it.
    before: Option<Before>,
    /// Epochs to go before rates count.
    wait: u32,
    pause: u32,
    rate: Sums,
    /// Since the last change, or of late.
    fates: Sums,
    /// Share of the datagrams that was lost with the usual queue.
    usual_loss: f64,
    /// Whether a shorter queue is tried, or would be next.
    shorter: bool,
    /// Whether each way has so few datagrams under way that it may run dry.
    thin: bool,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    factor: f64,
    window: f64,
    /// Datagrams delivered in a second.
    rate: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    delivered: f64,
    lost: f64,
    seconds: f64,
    epochs: u32,
}

impl Sums {
    fn add(&mut self, (delivered, lost): (u32, u32), seconds: f64) {
        self.delivered += f64::from(delivered);
        self.lost += f64::from(lost);
        self.seconds += seconds;
        self.epochs += 1;
    }

    fn datagrams(&self) -> f64 {
        self.delivered + self.lost
    }
}

impl Default for Ease {
    fn default() -> Self {
        Self {
            factor: 1.0,
            before: None,
            wait: FIRST,
            pause: PAUSE_MIN,
            rate: Sums::default(),
            fates: Sums::default(),
            usual_loss: 0.0,
            shorter: false,
            thin: true,
        }
    }
}

impl Ease {
    /// What the length of a usual queue is multiplied with.
    pub(super) const fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether each way has so few datagrams under way that it may run dry: else a longer queue is not worth a try.
    pub(super) const fn set_thin(&mut self, thin: bool) {
        self.thin = thin;
    }

    /// Takes in how many datagrams were delivered and lost in an epoch of so many seconds, and whether the `window` was
    /// all that kept more from being sent; tells the window to go on with.
    pub(super) fn handle_epoch(
        &mut self,
        fates: (u32, u32),
        seconds: f64,
        limited: bool,
        window: f64,
    ) -> f64 {
        if self.fates.datagrams() > LOST_OF {
            self.fates = Sums::default();
        }
        self.fates.add(fates, seconds);
        if self.factor > 1.0 && self.loses_more() {
            return if self.shorter || self.before.is_none() {
                self.go_back(window)
            } else {
                // What has been taken from the window since is not given back.
                self.give_up(window).min(window)
            };
        }
        let idle = self.before.is_none() && self.factor <= 1.0 && !self.thin;
        if !limited || idle {
            return window;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return window;
        }
        self.rate.add(fates, seconds);
        if self.rate.epochs < MEASURED {
            return window;
        }
        let Sums { delivered, seconds, .. } = std::mem::take(&mut self.rate);
        let rate = delivered / seconds.max(f64::MIN_POSITIVE);
        match self.before {
            None => self.begin(rate, window),
            Some(before) if rate >= before.rate * if self.shorter { KEPT } else { GAIN } => {
                (self.before, self.pause) = (None, PAUSE_MIN);
                window
            }
            Some(_) => self.give_up(window),
        }
    }

    fn loses_more(&self) -> bool {
        let usual = self.usual_loss * self.fates.datagrams();
        let chance = LOST_BY_CHANCE + LOST_DEVIATIONS * (usual * (1.0 - self.usual_loss)).sqrt();
        self.fates.lost > usual + LOST * self.fates.datagrams() + chance
    }

    /// Begins a try.
    fn begin(&mut self, rate: f64, window: f64) -> f64 {
        let fates = std::mem::take(&mut self.fates);
        if self.factor <= 1.0 {
            self.usual_loss = fates.lost / fates.datagrams().max(1.0);
        }
        self.before = Some(Before { factor: self.factor, window, rate });
        self.shorter = self.factor >= MOST || self.shorter && self.factor > 1.0;
        let change = if self.shorter { 0.5 } else { 2.0 };
        self.factor *= change;
        self.wait = SETTLED;
        window * change
    }

    /// Lets no more than the usual queue stand.
    fn go_back(&mut self, window: f64) -> f64 {
        let usual = window / self.factor;
        self.rest(1.0, false);
        usual
    }

    /// Ends a try that was in vain.
    fn give_up(&mut self, window: f64) -> f64 {
        let Some(before) = self.before else { return window };
        self.rest(before.factor, !self.shorter);
        before.window
    }

    /// Tries nothing for a while, longer each time; what comes then.
    fn rest(&mut self, factor: f64, shorter: bool) {
        (self.factor, self.shorter, self.before) = (factor, shorter, None);
        (self.rate, self.fates) = (Sums::default(), Sums::default());
        self.wait = self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    /// The factor after so many epochs on a path that delivers and loses so many datagrams in an epoch at a factor.
    fn settled(ease: &mut Ease, epochs: u32, mut path: impl FnMut(f64) -> (f64, f64)) -> f64 {
        for _ in 0..epochs {
            let (delivered, lost) = path(ease.factor());
            ease.handle_epoch((delivered as u32, lost as u32), 0.001, true, 64.0);
        }
        ease.factor()
    }

    #[test]
    fn a_port_that_is_full_keeps_its_queue_short() {
        let mut ease = Ease::default();
        let full = |_| (100.0, 0.0);
        let tried = (0..20_000).filter(|_| settled(&mut ease, 1, full) > 1.0).count();
        assert!(tried < 100, "{tried} epochs of 20,000 with a longer queue");
    }

    #[test]
    fn a_port_that_overflows_ends_a_try_at_once() {
        let mut ease = Ease::default();
        // What is lost is sent again: the path seems to carry more.
        let shallow = |factor| if factor > 1.0 { (120.0, 30.0) } else { (100.0, 1.0) };
        let tried = (0..20_000).filter(|_| settled(&mut ease, 1, shallow) > 1.0).count();
        assert!(tried < 20, "{tried} epochs of 20,000 with a longer queue");
    }

    #[test]
    fn a_queue_that_was_kept_by_chance_is_given_up_when_more_is_lost() {
        let mut ease = Ease::default();
        // While it is tried the port seems to carry more; nothing is lost yet.
        let tried = settled(&mut ease, 160, |factor| (100.0 * factor, 0.0));
        assert!(tried > 1.0);
        assert_eq!(settled(&mut ease, 60, |_| (100.0, 5.0)), 1.0);
    }

    #[test]
    fn a_queue_that_is_too_long_is_given_up_for_the_last_one_that_was_not() {
        let mut ease = Ease::default();
        // Twice the queue is worth it, four times overflow.
        let path = |factor: f64| (100.0 * factor.min(2.0), if factor > 2.0 { 30.0 } else { 0.0 });
        assert_eq!(settled(&mut ease, 300, path), 2.0);
    }

    #[test]
    fn losses_of_the_path_take_no_queue_away() {
        let mut ease = Ease::default();
        let mut dice = rng::stream(1, "losses", 0);
        let mut lossy = |factor: f64| {
            let sent = (100.0 * (factor / 4.0).min(1.0)) as u32;
            let lost = (0..sent).filter(|_| rng::unit(&mut dice) < 0.05).count();
            (f64::from(sent) - lost as f64, lost as f64)
        };
        let mut least: f64 = settled(&mut ease, 600, &mut lossy);
        for _ in 0..3000 {
            least = least.min(settled(&mut ease, 1, &mut lossy));
        }
        assert!(least >= 2.0, "{least}");
    }

    #[test]
    fn ways_that_cannot_run_dry_are_left_alone() {
        let mut ease = Ease::default();
        ease.set_thin(false);
        assert!((0..2000).all(|_| settled(&mut ease, 1, |factor| (100.0 * factor, 0.0)) <= 1.0));
    }

    #[test]
    fn a_try_in_vain_gives_the_window_back() {
        let mut ease = Ease::default();
        let mut window = 40.0;
        for _ in 0..2000 {
            window = ease.handle_epoch((100, 0), 0.001, true, window);
        }
        assert_eq!((ease.factor(), window), (1.0, 40.0));
    }

    #[test]
    fn ways_of_their_own_get_the_queue_they_need_and_no_more() {
        let mut ease = Ease::default();
        let needed = |factor: f64| (100.0 * (factor / 6.0).min(1.0), 2.0);
        let factor = settled(&mut ease, 1400, needed);
        assert!((4.0..=8.0).contains(&factor), "{factor}");
        // When the port becomes the bottleneck, the queue becomes short again.
        let full = |_| (100.0, 0.0);
        let shortest = (0..20_000).map(|_| settled(&mut ease, 1, full)).fold(f64::MAX, f64::min);
        assert!(shortest <= 1.0, "{shortest}");
    }
}
