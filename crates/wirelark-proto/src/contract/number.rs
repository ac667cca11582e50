//! The one kind of number there is in JavaScript.

use std::fmt::Display;

use super::EncodeError;

/// `Number.MAX_SAFE_INTEGER`: up to here every integer has a number of its own.
const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

/// The integer, if a JavaScript number holds it exactly.
#[inline]
pub(super) fn exact_integer<N: TryInto<i64> + Display + Copy>(integer: N) -> Result<i64, EncodeError> {
    match integer.try_into() {
        Ok(exact) if (-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(&exact) => Ok(exact),
        _ => Err(EncodeError::InexactInteger(integer.to_string())),
    }
}

/// The integer that a JavaScript number is, if it is one without doubt.
#[inline]
pub(super) fn integral(number: f64) -> Option<i64> {
    let exact = number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX as f64;
    exact.then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_up_to_two_to_the_53_less_one() {
        assert_eq!(exact_integer(9_007_199_254_740_991_u64), Ok(SAFE_INTEGER_MAX));
        assert_eq!(exact_integer(-9_007_199_254_740_991_i128), Ok(-SAFE_INTEGER_MAX));
        assert!(exact_integer(9_007_199_254_740_992_u64).is_err());
        assert!(exact_integer(-9_007_199_254_740_992_i64).is_err());
        assert!(exact_integer(u128::MAX).is_err());
    }

    #[test]
    fn only_whole_numbers_are_integral() {
        assert_eq!(integral(-0.0), Some(0));
        assert_eq!(integral(-9_007_199_254_740_991.0), Some(-SAFE_INTEGER_MAX));
        for other in [0.5, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(integral(other), None, "{other}");
        }
    }
}
