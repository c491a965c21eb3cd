import { describe, expect, it } from 'vitest';
import { colourName, type Measurements, measuredCaption, orientationOf } from './measured-caption.js';

const plain: Measurements = {
  width: 640,
  height: 480,
  dominant: { r: 200, g: 30, b: 30 },
  brightness: 0.3,
  entropy: 7,
  sharpness: 2,
  transparent: false,
  frames: 1,
};

describe('the measured caption', () => {
  it('says in one sentence what was measured', () => {
    expect(measuredCaption(plain)).toBe('A landscape image of 640 × 480 pixels, mostly red, dim and rich in detail.');
    expect(measuredCaption({ ...plain, width: 480, height: 640, transparent: true, entropy: 1, brightness: 0.9 })).toBe(
      'A portrait image of 480 × 640 pixels, mostly red, bright, almost without detail and partly transparent.',
    );
    expect(measuredCaption({ ...plain, frames: 12, sharpness: 0.1, brightness: 0.1 })).toBe(
      'A landscape animation of 12 frames of 640 × 480 pixels, mostly red, dark and soft.',
    );
  });

  it.each([
    [3000, 1000, 'panoramic'],
    [1000, 1020, 'square'],
    [1000, 900, 'landscape'],
    [900, 1000, 'portrait'],
  ])('calls %i × %i %s', (width, height, name) => {
    expect(orientationOf({ width, height })).toBe(name);
  });

  it.each([
    [0, 0, 0, 'black'],
    [255, 255, 255, 'white'],
    [128, 130, 127, 'grey'],
    [255, 0, 0, 'red'],
    [250, 0, 30, 'red'],
    [255, 140, 0, 'orange'],
    [120, 70, 20, 'brown'],
    [255, 230, 0, 'yellow'],
    [0, 160, 40, 'green'],
    [0, 60, 10, 'dark green'],
    [0, 220, 220, 'cyan'],
    [20, 40, 230, 'blue'],
    [170, 190, 230, 'pale blue'],
    [120, 30, 200, 'purple'],
    [255, 20, 147, 'pink'],
  ])('names rgb(%i, %i, %i) %s', (r, g, b, name) => {
    expect(colourName({ r, g, b })).toBe(name);
  });
});
