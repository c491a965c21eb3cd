export {
  type Backend,
  createSelector,
  noBackend,
  type Ranking,
  type Selector,
  type SelectorEvent,
  type SelectorOptions,
  type SelectorRule,
} from './selector.js';
