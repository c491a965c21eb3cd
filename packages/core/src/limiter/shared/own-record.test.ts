import { describe, expect, it } from 'vitest';
import { windowOf } from '../../../test/limiter-stores.js';
import type { StoreVerdict } from '../store.js';
import { OwnRecord } from './own-record.js';

const at = (now: number) => ({ now, wall: 0 });
const zeros = { ok: true, binding: 0, waitMs: 0, resetMs: [0], waitsMs: [0] };
const said = (time: number, remaining: number, generation = 'g'): StoreVerdict => ({
  ...{ ...zeros, at: time, remaining: [remaining], generation },
});

describe('what a process has had', () => {
  it('goes along with each question, with what it was told last and how long ago', () => {
    const own = new OwnRecord([windowOf(100)]);
    own.charge([5], at(0));
    expect(own.evidence(at(0))).toEqual({});
    own.hear(said(7_000, 95), undefined, at(10));
    own.charge([2], at(20));
    own.refund([1], at(20), at(30));
    expect(own.evidence(at(1_010))).toEqual({
      own: { generation: 'g', amounts: [6] },
      since: { at: 7_000, agoMs: 1_000 },
    });
    expect(own.evidence(at(60_020))).toEqual({ since: { at: 7_000, agoMs: 60_010 } });
  });

  it('is not set back by an answer that was overtaken, but by another generation', () => {
    const own = new OwnRecord([windowOf(100)]);
    own.hear(said(20, 50), undefined, at(1));
    own.hear(said(10, 60), undefined, at(2));
    expect(own.told?.verdict.at).toBe(20);
    own.hear(said(10, 60, 'h'), undefined, at(3));
    expect([own.told?.verdict.at, own.known()?.used]).toEqual([10, [40]]);
  });
});
