import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Listed, Roster } from './roster.js';

it('holds what a Set would hold', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9), fc.boolean()), { maxLength: 100 }), (steps) => {
      const members: Listed[] = Array.from({ length: 10 }, () => ({ rosterIndex: -1 }));
      const roster = new Roster<Listed>();
      const model = new Set<Listed>();
      for (const [index, isAdded] of steps) {
        const member = members[index] as Listed;
        if (isAdded) {
          roster.add(member);
          model.add(member);
        } else {
          roster.delete(member);
          model.delete(member);
        }
        expect(new Set(roster.all())).toEqual(model);
        expect(roster.all()).toHaveLength(model.size);
      }
    }),
  );
});
