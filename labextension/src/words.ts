// Numbers, times and money in words; the same forms as burst_magic/ui/words.py, so that a browser and a terminal agree.

const THIN = "\u202f"; // narrow no-break space: groups digits without looking like two numbers
const MICRO = 1_000_000;

/** An integer with digits in groups of three: `1 000 000`. */
export function count(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** `1 task`, `3 tasks`. */
export function plural(number: number, word: string): string {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** Percentage, rounded down: 100 % means all and 0 % none. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return `100${THIN}%`;
  if (part > 0 && part * 100 < whole) return `<1${THIN}%`;
  return `${Math.floor((part * 100) / whole)}${THIN}%`;
}

const UNITS: readonly [number, string, number, string][] = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];

/** Seconds in the two largest units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 14 min`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  for (const [unit, name, part, partName] of UNITS) {
    if (whole >= unit) {
      const rest = Math.floor((whole % unit) / part);
      return `${Math.floor(whole / unit)} ${name} ${String(rest).padStart(2, "0")} ${partName}`;
    }
  }
  return `${whole} s`;
}

/** A forecast in one unit, with few digits: `≈ 40 s`, `≈ 3 min`, `≈ 2.5 h`. */
export function about(seconds: number): string {
  if (seconds < 10) return "a few seconds";
  if (seconds < 57.5) return `≈ ${5 * Math.round(seconds / 5)} s`;
  if (seconds < 5370) return `≈ ${Math.max(1, Math.round(seconds / 60))} min`;
  if (seconds < 36 * 3600) return `≈ ${Math.round(seconds / 1800) / 2} h`;
  return `≈ ${Math.round(seconds / 86400)} d`;
}

/** An age in one unit, for facts that are no longer news: `12 s`, `2 min`, `3 h`, `2 d`. */
export function age(seconds: number): string {
  if (seconds < 59.5) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Micro-dollars: `$0.00`, `<$0.0001`, `$0.0042`, `$1 234.50`. */
export function dollars(micros: number): string {
  if (micros === 0 || micros >= MICRO / 100) {
    const [whole = "0", cents = "00"] = (micros / MICRO).toFixed(2).split(".");
    return `$${count(Number(whole))}.${cents}`;
  }
  return micros >= MICRO / 10_000 ? `$${(micros / MICRO).toFixed(4)}` : "<$0.0001";
}
