//! Axes of measures: from where to where, and what is written at them.

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// Its lower end, as a place.
    pub low: f64,
    /// Its upper end, as a place.
    pub high: f64,
    /// The places that have a number.
    pub ticks: Vec<f64>,
    log: bool,
}

/// Numbers that an axis has room for.
const TICKS_MAX: f64 = 6.0;

impl Scale {
    /// An axis on which all `values` have their place; none if there are none. A logarithmic one leaves out what has no
    /// logarithm.
    pub fn of(values: impl Iterator<Item = f64>, log: bool) -> Option<Self> {
        let fits = |value: &f64| value.is_finite() && (!log || *value > 0.0);
        let (low, high) = values
            .filter(fits)
            .map(|value| (value, value))
            .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))?;
        Some(if log { Self::logarithmic(low, high) } else { Self::linear(low, high) })
    }

    /// From 0, or from below it.
    fn linear(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), if high > low.min(0.0) { high } else { low + 1.0 });
        let rough = (high - low) / TICKS_MAX;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let ticks: Vec<f64> = (first..=last).map(|tick| tick as f64 * step).collect();
        // Room for the note in the corner.
        let high = last as f64 * step + step / 2.0;
        Self { low: first as f64 * step, high, ticks, log: false }
    }

    /// A place is the logarithm of its value.
    fn logarithmic(low: f64, high: f64) -> Self {
        let decades = (high / low).log10();
        let steps: &[f64] = match decades {
            d if d > 3.0 => &[1.0],
            d if d > 1.2 => &[1.0, 3.0],
            d if d > 0.6 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all: Vec<f64> = (first..=last)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .collect();
        let below = all.iter().copied().rfind(|tick| *tick <= low).unwrap_or(low);
        let above = all.iter().copied().find(|tick| *tick >= high).unwrap_or(high);
        let ticks = all.into_iter().filter(|tick| (below..=above).contains(tick));
        let (below, above) = (below.log10(), above.log10());
        // Room for the note in the corner, and some where all values are one.
        let room = ((above - below) * 0.12).max(0.02);
        Self { low: below, high: above + room, ticks: ticks.map(f64::log10).collect(), log: true }
    }

    /// Where `value` stands.
    pub fn place(&self, value: f64) -> f64 {
        if self.log { value.max(f64::MIN_POSITIVE).log10().max(self.low) } else { value }
    }

    /// What stands at `place`.
    pub fn value(&self, place: f64) -> f64 {
        if self.log { 10f64.powf(place) } else { place }
    }
}

/// A number as it stands at an axis: three digits, and no zeros behind them.
pub(super) fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = usize::try_from(2 - digits).unwrap_or(0).min(6);
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[f64], log: bool) -> String {
        let scale = Scale::of(values.iter().copied(), log).unwrap();
        let ticks = scale.ticks.iter().map(|tick| number(scale.value(*tick)));
        ticks.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(shown(&[0.0, 97.0], false), "0 20 40 60 80 100");
        assert_eq!(shown(&[1.02, 1.3], false), "0 0.5 1 1.5");
        assert_eq!(shown(&[220.0, 900.0], true), "200 500 1000");
        assert_eq!(shown(&[220.0, 250.0], true), "200 300");
        assert_eq!(shown(&[3.0, 7000.0], true), "1 10 100 1000 10000");
        assert_eq!(shown(&[5.0], true), "5");
        assert_eq!(shown(&[0.0], false), "0 0.2 0.4 0.6 0.8 1");
    }

    #[test]
    fn all_values_are_on_their_axis() {
        for log in [false, true] {
            for (low, high) in [(1e-3, 1e6), (7.0, 7.0), (0.3, 0.31), (99.0, 101.0)] {
                let scale = Scale::of([low, high].into_iter(), log).unwrap();
                for value in [low, high] {
                    assert!((scale.low..=scale.high).contains(&scale.place(value)), "{value}");
                }
            }
        }
        assert_eq!(Scale::of([f64::NAN].into_iter(), false), None);
        assert_eq!(Scale::of([0.0].into_iter(), true), None);
    }
}
