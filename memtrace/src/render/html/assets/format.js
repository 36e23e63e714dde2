// Numbers as the text reports write them: bytes and counts in integers, so that a larger number never reads as a smaller one.

const BINARY = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
// Below this, ten times the number and half a unit are still exact.
const SMALL = 2 ** 49;

/** `512 B`, `1.2 MiB`: exact below 1 KiB, one decimal from there on. */
function bytes(size) {
  if (size < 1024) {
    return `${Math.round(size)} B`;
  }
  for (let power = 1; ; power += 1) {
    const tenths = size < SMALL ? Math.floor((size * 10 + 1024 ** power / 2) / 1024 ** power) : largeTenths(size, power);
    if (tenths < 10240 || power === BINARY.length) {
      return `${Math.floor(tenths / 10)}.${tenths % 10} ${BINARY[power - 1]}`;
    }
  }
}

function largeTenths(size, power) {
  const unit = 1024n ** BigInt(power);
  return Number((BigInt(Math.round(size)) * 10n + unit / 2n) / unit);
}

/** `1,234,567`. */
function count(number) {
  return BigInt(Math.round(number)).toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** The count and its noun, with an `s` where it is not one. */
function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** A number of bytes or blocks to the last digit; one that a page cannot hold exactly says so. */
function exact(number, unit) {
  const about = Number.isSafeInteger(number) ? '' : 'about ';
  return `${about}${plural(number, unit === 'count' ? 'block' : 'byte')}`;
}

/** `64.5%` of a share from 0 to 1. Only nothing is `0%` and only everything `100%`. */
function percent(share) {
  const value = share * 100;
  if (value <= 0) return '0%';
  if (value < 0.1) return '<0.1%';
  if (value > 99.9 && value < 100) return '>99.9%';
  if (Math.abs(value - 100) < Number.EPSILON) return '100%';
  // True halves to even, as the text reports round: only quarters can be one. All else `toFixed` rounds by its exact value.
  const isHalf = Number.isInteger(value * 4) && !Number.isInteger(value * 2);
  return `${(isHalf ? (2 * Math.round((value * 10) / 2)) / 10 : value).toFixed(1)}%`;
}

/** `+12.4 KiB/s`, `-3 B/s`, `0 B/s`. */
function rate(perSecond) {
  const size = Math.round(Math.abs(perSecond));
  const sign = size === 0 ? '' : perSecond > 0 ? '+' : '-';
  return `${sign}${bytes(size)}/s`;
}

/** `350 ms`, `2.5 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h` of nanoseconds; what is cut off is never rounded up. */
function duration(nanoseconds) {
  const seconds = Math.floor(nanoseconds / 1e9);
  const pair = (large, largeUnit, small, smallUnit) => `${large} ${largeUnit}${small === 0 ? '' : ` ${small} ${smallUnit}`}`;
  const whole = Math.floor(seconds);
  if (nanoseconds === 0) return '0 s';
  if (seconds === 0) return `${Math.floor(nanoseconds / 1e6)} ms`;
  if (seconds < 10) {
    const tenths = Math.floor((nanoseconds - whole * 1e9) / 1e8);
    return tenths === 0 ? `${whole} s` : `${whole}.${tenths} s`;
  }
  if (seconds < 60) return `${whole} s`;
  if (seconds < 3600) return pair(Math.floor(seconds / 60), 'min', whole % 60, 's');
  if (seconds < 86400) return pair(Math.floor(seconds / 3600), 'h', Math.floor(seconds / 60) % 60, 'min');
  return pair(Math.floor(seconds / 86400), 'd', Math.floor(seconds / 3600) % 24, 'h');
}

/** A value in bytes or blocks, or of them by the second; what is slow is told by the hour. */
function quantity(value, unit, bySecond = false) {
  const isCount = unit === 'count';
  if (!bySecond) return isCount ? count(value) : bytes(Math.round(value));
  if (!isCount) return value > 0 && value < 1 ? `${bytes(Math.round(value * 3600))}/h` : `${bytes(Math.round(value))}/s`;
  if (value > 0 && value < 0.1) return `${(value * 3600).toFixed(1)}/h`;
  return value < 100 ? `${value.toFixed(1)}/s` : `${count(value)}/s`;
}

/** The same of a change, with its sign. */
function signedQuantity(value, unit, bySecond = false) {
  const sign = value === 0 ? '' : value > 0 ? '+' : '-';
  return sign + quantity(Math.abs(value), unit, bySecond);
}
