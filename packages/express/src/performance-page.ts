import type { Warmpath } from '@warmpath/core';
import type { RequestHandler } from 'express';

/**
 * Answers GET on `path` (with or without a slash after it) with what the runtime has done and saved so far, as JSON;
 * everything else passes by.
 */
export function performancePage(runtime: Warmpath, path: string): RequestHandler {
  return function warmpathPerformance(req, res, next) {
    const isHere = req.path === path || req.path === `${path}/`;
    if (!isHere || (req.method !== 'GET' && req.method !== 'HEAD')) return next();
    res.setHeader('Cache-Control', 'no-store');
    res.json(runtime.snapshot());
  };
}
